// The panel of one road user: what is known of it, what was advised to it, what was not and why, how long its messages take.

import { figure, make, table } from "./dom.js";

const HOPS = [
  ["sensor_to_node", "sensor to node"],
  ["node_to_advisory", "node to advisory"],
  ["advisory_to_vehicle", "advisory to vehicle"],
  ["vehicle_to_node", "its reports to node"],
  ["vehicle_to_ack", "its acknowledgements"],
];

/** Show a detail frame with the advisories in force for it; `null` hides the panel. */
export function showDetail(detail, advice) {
  const section = document.getElementById("detail");
  section.hidden = detail === null;
  if (detail === null) return;
  const head = detail.vehicle ? `Vehicle ${detail.vehicle}` : `Track ${detail.track}`;
  document.getElementById("detail-head").textContent = head;
  const body = section.querySelector(".body");
  if (detail.gone) return body.replaceChildren(make("p", { text: "It is not seen any more." }));
  body.replaceChildren(...facts(detail), ...advised(advice), ...notAdvised(detail), ...hops(detail));
}

function facts(detail) {
  const [varX, varY] = detail.covariance;
  const sigma = Math.sqrt(Math.max(varX, varY));
  const rows = [
    ["track", `${detail.track}, ${detail.class} (${Math.round(detail.class_p * 100)} %)${detail.automated ? ", automated" : ""}`],
    ["speed", `${figure(detail.speed * 3.6)} km/h, ${signed(detail.accel)} m/s²`],
    ["lane", `${detail.lane ?? "none"}${detail.to_stop === null ? "" : `, ${figure(detail.to_stop)} m to the stop line`}`],
    ["movement", movement(detail)],
    ["place", `± ${figure(sigma, 2)} m (1 σ), existence ${Math.round(detail.existence * 100)} %`],
    ["size", `${figure(detail.size[0])} × ${figure(detail.size[1])} m`],
    ["seen by", `${detail.sensors.join(", ") || "no sensor"}; ${figure(detail.last_seen, 0)} ms ago`],
  ];
  return [make("dl", { class: "facts" }, ...rows.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", { text })]))];
}

function movement(detail) {
  if (detail.movement) return detail.movement;
  const ways = detail.movements.map(({ movement: name, chance }) => `${name} ${Math.round(chance * 100)} %`);
  return ways.join(", ") || "not known";
}

function advised(advice) {
  const rows = advice.map((row) => make("li", { class: `severity-${row.severity}` }, make("strong", { text: row.kind.replaceAll("_", " ") }), make("p", { text: row.reason })));
  return [make("h3", { text: "Advised" }), rows.length ? make("ul", { class: "rows" }, ...rows) : make("p", { class: "none", text: "Nothing at the moment." })];
}

function notAdvised(detail) {
  const reasons = (detail.why_not ?? []).map((text) => make("li", {}, make("p", { class: "why", text })));
  const withheld = (detail.withheld ?? []).map((row) =>
    make("li", {}, make("strong", { text: row.kind.replaceAll("_", " ") }), make("p", { class: "why", text: row.why }), make("p", { text: row.proposal })));
  if (!reasons.length && !withheld.length) return [];
  return [make("h3", { text: "Not advised, because" }), make("ul", { class: "rows" }, ...reasons, ...withheld)];
}

function hops(detail) {
  const rows = HOPS.filter(([name]) => detail.hops?.[name]).map(([name, words]) => [words, figure(detail.hops[name].median, 0), figure(detail.hops[name].max, 0), `${detail.hops[name].count}`]);
  return rows.length ? [make("h3", { text: "Latency of its messages, ms" }), table("Latency of this vehicle's messages", ["hop", "median", "longest", "of"], rows)] : [];
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${figure(value)}`;
}
