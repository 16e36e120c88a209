"""The few calls of etcd's version 3 API that ownership needs, over gRPC. The only importer of aetcd and grpc.

aetcd gives the messages and stubs; its own client opens no TLS connection. All endpoints are in one channel, and each
call goes to the next one that answers.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import CloudctlError
from ..settings import CitySection

CALL_TIMEOUT = 1.0  # s for one call
# An endpoint that is cut off is noticed within about half a second (etcd: --grpc-keepalive-min-time 200ms).
CHANNEL_OPTIONS = (
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.keepalive_time_ms", 300),
    ("grpc.keepalive_timeout_ms", 300),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class EtcdError(CloudctlError, RuntimeError):
    """etcd cannot be reached, or refused; the text says which."""


class Entry(NamedTuple):
    """One key: `revision` is that of its last change; `value` None: it was deleted."""

    key: str
    value: bytes | None
    revision: int
    lease: int = 0  # that it is attached to


class Snapshot(NamedTuple):
    """All keys under a prefix, as they are at one revision of the store."""

    entries: list[Entry]
    revision: int


class Etcd:
    """A connection to an etcd cluster. Keys are under the section's prefix. Every call raises EtcdError where it fails.

    To be made and used on one event loop.
    """

    def __init__(self, section: CitySection) -> None:
        rpc = _library()
        self._rpc, self._prefix = rpc, f"{section.prefix}/"
        target = "ipv4:" + ",".join(section.etcd)

        if section.etcd_ca is None:
            self._channel = rpc.insecure_channel(target, options=CHANNEL_OPTIONS)
        else:
            # certificates name the machines, and a channel of several addresses has no name of its own
            options = (*CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", section.etcd_name))
            self._channel = rpc.secure_channel(target, _credentials(section), options=options)

        self._kv = rpc.KVStub(self._channel)
        self._lease = rpc.LeaseStub(self._channel)
        self._watch = rpc.WatchStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()

    # --- leases ---

    async def grant(self, seconds: int) -> int:
        """Return a new lease of so many s."""
        reply = await self._call(self._lease.LeaseGrant(self._rpc.LeaseGrantRequest(TTL=seconds), timeout=CALL_TIMEOUT))
        return int(reply.ID)

    async def renew(self, lease: int, timeout: float) -> bool:
        """Renew a lease; return False where it has ended."""
        request = self._rpc.LeaseKeepAliveRequest(ID=lease)
        call = self._lease.LeaseKeepAlive(iter([request]), timeout=timeout)
        try:
            async for reply in call:
                return int(reply.TTL) > 0
        except self._rpc.RpcError as error:
            raise _failed(error) from None
        finally:
            call.cancel()

        raise EtcdError("etcd ended the call without an answer")

    async def revoke(self, lease: int) -> None:
        """End a lease, and every key attached to it."""
        await self._call(self._lease.LeaseRevoke(self._rpc.LeaseRevokeRequest(ID=lease), timeout=CALL_TIMEOUT))

    # --- keys ---

    async def snapshot(self) -> Snapshot:
        """Return every key."""
        key = self._prefix.encode()
        request = self._rpc.RangeRequest(key=key, range_end=_end_of(key))
        reply = await self._call(self._kv.Range(request, timeout=CALL_TIMEOUT))
        return Snapshot([self._entry(item, item.value) for item in reply.kvs], int(reply.header.revision))

    async def put(self, key: str, value: bytes, lease: int = 0) -> int:
        """Set a key; return the revision of the store then."""
        request = self._rpc.PutRequest(key=self._full(key), value=value, lease=lease)
        reply = await self._call(self._kv.Put(request, timeout=CALL_TIMEOUT))
        return int(reply.header.revision)

    async def delete(self, key: str) -> bool:
        """Delete a key; return whether it was there."""
        request = self._rpc.DeleteRangeRequest(key=self._full(key))
        reply = await self._call(self._kv.DeleteRange(request, timeout=CALL_TIMEOUT))
        return bool(reply.deleted)

    async def create(self, key: str, value: bytes, lease: int) -> int | None:
        """Set a key that nobody has set; return its revision, None where somebody has."""
        rpc = self._rpc
        absent = rpc.Compare(
            result=rpc.Compare.EQUAL, target=rpc.Compare.CREATE, key=self._full(key), create_revision=0
        )
        return await self._transact(absent, [rpc.PutRequest(key=self._full(key), value=value, lease=lease)])

    async def hand_over(self, key: str, revision: int, value: bytes, lease: int, done: str) -> int | None:
        """Set a key that has not changed since `revision`, with another's lease, and delete the key `done`; return its
        new revision, None where it has changed."""
        rpc = self._rpc
        same = rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=self._full(key), mod_revision=revision)
        put = rpc.PutRequest(key=self._full(key), value=value, lease=lease)
        return await self._transact(same, [put, rpc.DeleteRangeRequest(key=self._full(done))])

    async def watch(self, revision: int) -> AsyncIterator[Entry | None]:
        """Yield every change from a revision of the store on; None first, when the watch has begun."""
        key = self._prefix.encode()
        rpc = self._rpc
        create = rpc.WatchCreateRequest(key=key, range_end=_end_of(key), start_revision=revision)
        call = self._watch.Watch()

        try:
            await call.write(rpc.WatchRequest(create_request=create))
            async for reply in call:
                if reply.canceled or reply.compact_revision:
                    raise EtcdError(f"etcd has ended the watch: {reply.cancel_reason or 'what it was of is compacted'}")
                if reply.created:
                    yield None
                for event in reply.events:
                    yield self._entry(event.kv, None if event.type == rpc.Event.DELETE else event.kv.value)
        except rpc.RpcError as error:
            raise _failed(error) from None
        finally:
            call.cancel()

        raise EtcdError("etcd has ended the watch")

    # --- the cluster ---

    async def version(self) -> str:
        """Return the version of the server that answers."""
        stub = self._rpc.MaintenanceStub(self._channel)
        reply = await self._call(stub.Status(self._rpc.StatusRequest(), timeout=CALL_TIMEOUT))
        return str(reply.version)

    async def secure(self, role: str, users: Sequence[str]) -> bool:
        """Give each of `users`, known by the names in their certificates, every right below the prefix and none
        elsewhere, and let nobody else in; return False where that has been done. To be called as the user root."""
        rpc, stub = self._rpc, self._rpc.AuthStub(self._channel)
        key = self._prefix.encode()
        everything = rpc.Permission(permType=rpc.Permission.READWRITE, key=key, range_end=_end_of(key))
        options = rpc.UserAddOptions(no_password=True)
        roles = (await self._call(stub.RoleList(rpc.AuthRoleListRequest(), timeout=CALL_TIMEOUT))).roles
        known = (await self._call(stub.UserList(rpc.AuthUserListRequest(), timeout=CALL_TIMEOUT))).users

        requests = [(stub.RoleAdd, rpc.AuthRoleAddRequest(name=name)) for name in ("root", role) if name not in roles]
        requests.append((stub.RoleGrantPermission, rpc.AuthRoleGrantPermissionRequest(name=role, perm=everything)))
        new_users = [user for user in ("root", *users) if user not in known]
        requests += [(stub.UserAdd, rpc.AuthUserAddRequest(name=user, options=options)) for user in new_users]

        for user in ("root", *users):
            granted = "root" if user == "root" else role
            requests.append((stub.UserGrantRole, rpc.AuthUserGrantRoleRequest(user=user, role=granted)))

        for call, request in requests:
            await self._call(call(request, timeout=CALL_TIMEOUT))

        await self._call(stub.AuthEnable(rpc.AuthEnableRequest(), timeout=CALL_TIMEOUT))
        return bool(new_users)

    async def _transact(self, compare: Any, requests: Sequence[Any]) -> int | None:
        rpc = self._rpc
        operations = [
            rpc.RequestOp(request_put=request)
            if isinstance(request, rpc.PutRequest)
            else rpc.RequestOp(request_delete_range=request)
            for request in requests
        ]

        request = rpc.TxnRequest(compare=[compare], success=operations)
        reply = await self._call(self._kv.Txn(request, timeout=CALL_TIMEOUT))
        return int(reply.header.revision) if reply.succeeded else None

    async def _call(self, call: Any) -> Any:
        try:
            return await call
        except self._rpc.RpcError as error:
            raise _failed(error) from None

    def _full(self, key: str) -> bytes:
        return (self._prefix + key).encode()

    def _entry(self, item: Any, value: bytes | None) -> Entry:
        key = item.key.decode().removeprefix(self._prefix)
        return Entry(key, None if value is None else bytes(value), int(item.mod_revision), int(item.lease))


def _library() -> Any:
    try:
        from aetcd import rpc
    except ImportError:
        raise EtcdError("[city] etcd needs a client library: pip install 'cloudctl[city]'") from None
    return rpc


def _credentials(section: CitySection) -> Any:
    import grpc

    def read(name: str | None) -> bytes | None:
        return None if name is None else Path(name).read_bytes()

    return grpc.ssl_channel_credentials(
        root_certificates=read(section.etcd_ca),
        private_key=read(section.etcd_key),
        certificate_chain=read(section.etcd_cert),
    )


def _end_of(prefix: bytes) -> bytes:
    """Return the end of the range of all keys with a prefix."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


def _failed(error: Any) -> EtcdError:
    text = str(error)
    with contextlib.suppress(Exception):
        text = f"{error.code().name.lower()}: {error.details()}"
    return EtcdError(f"etcd: {text}")
