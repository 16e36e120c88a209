"""The errors that cloudctl raises. Each says what is wrong, with which value, by which rule, and what to do about it.

CloudctlError
├── CodeError (ValueError)          a digital code, or a file to make one of, that cannot be used    codes.findings
├── CityCodeError (ValueError)      a text that is no city code                                      codes.citycode
├── GridError (ValueError)          a place that the location grid does not cover                    codes.grid
├── RejectedMessage                 a message, or a part of one, that is refused                     ingest.rejections
│   ├── StaleMessage                it is too old, or from the future
│   └── SignalTimingError           signal times that contradict one another
├── ConfigError (ValueError)        a node's file that cannot be used                                node.config
├── ZeroMqError (RuntimeError)      a socket that cannot be opened, keys that cannot be read         io.zeromq
├── PrivateFileError (RuntimeError) a file with a secret that others can read, or that exists        io.private_files
├── CredentialError (RuntimeError)  certificates that cannot be made, found or revoked               node.credentials
├── CredentialFolderError (RuntimeError)  a client's folder of credentials that cannot be used       client.credentials
├── ReloadError (RuntimeError)      a node that cannot be reloaded                                   node.pid_file
├── InitError (RuntimeError)        a node's folder that cannot be set up                            node.init_folder
├── SignatureError (RuntimeError)   a key that cannot be used for signatures                         io.signatures
├── MqttError (OSError)             an MQTT connection that failed                                   io.mqtt
├── BrokerError (RuntimeError)      a broker that cannot be started                                  io.broker
├── HttpServerError (RuntimeError)  an HTTP server that cannot be started                            io.http
├── RecordingError (RuntimeError)   a recording that cannot be written or read                       io.recording
├── ScenarioError (ValueError)      a SUMO scenario that cannot be run                               sim.scenario
├── TwoTreesError (RuntimeError)    a process that mixes two copies of cloudctl                      one_tree
└── LoopError (RuntimeError)        a run over sockets that broke off                                sim.loop
"""


class CloudctlError(Exception):
    """Any error of cloudctl's own. The second base of its kinds is the built-in error that describes them best."""
