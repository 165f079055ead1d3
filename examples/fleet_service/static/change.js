// The change: the form with the settings of a number, and the same settings in words.

import { element } from "./common.js";

const FLAG = [["on", "On"], ["off", "Off"]];
const URL = [["set", "Set"], ["clear", "Clear"]];

/** The fields of NumberUpdate, each with its choices in addition to "Keep". */
const FIELDS = [
  { name: "sms_enabled", label: "Inbound SMS", choices: FLAG },
  { name: "call_recording_enabled", label: "Call recording", choices: FLAG },
  { name: "transcription_enabled", label: "Transcription", choices: FLAG },
  { name: "transcription_threshold", label: "Transcribe calls from", choices: [["set", "Set"]],
    inputs: [{ label: "Seconds", type: "number", min: 0, max: 3600, step: 1 }], value: ([seconds]) => Number(seconds) },
  { name: "call_status_url", label: "Call status URL", choices: URL,
    inputs: [{ label: "URL", type: "url", placeholder: "https://hooks.example.com/calls" }] },
  { name: "sms_relay_url", label: "SMS relay URL", choices: URL,
    inputs: [{ label: "URL", type: "url", placeholder: "https://hooks.example.com/sms" }] },
  { name: "destinations", label: "Destination", choices: [["set", "Replace"]],
    inputs: [
      { label: "Calls go to", type: "text", placeholder: "[did]@sip.example.com" },
      { label: "Which is a", options: [["1", "SIP URI"], ["4", "phone number"]] },
    ],
    value: ([destination, transport]) => [{ destination, priority: 1, transport: Number(transport) }] },
];

const BY_NAME = new Map(FIELDS.map((field) => [field.name, field]));

/** Return the rows of the form, one for each field. */
export function changeFields() {
  return FIELDS.map((field) => {
    const title = `${field.name}-label`;
    const choices = [["", "Keep"], ...field.choices].map(([value, label]) =>
      element("label", {},
        element("input", { type: "radio", name: field.name, value, checked: value === "" }),
        element("span", {}, label)));
    const inputs = (field.inputs ?? []).map(({ label, options, ...attributes }, at) => {
      const name = { name: `${field.name}-${at}`, required: true, disabled: true };
      const made = options
        ? element("select", name, options.map(([value, text]) => element("option", { value }, text)))
        : element("input", { ...name, ...attributes, autocomplete: "off", spellcheck: "false" });
      return element("label", {}, label, made);
    });
    const detail = inputs.length ? element("div", { class: "detail", hidden: true }, inputs) : null;
    const row = element("div", { class: "field", role: "group", "aria-labelledby": title },
      element("span", { id: title, class: "title" }, field.label),
      element("div", { class: "choices" }, choices),
      detail);
    row.addEventListener("change", (event) => {
      if (!detail || event.target.type !== "radio") return;
      detail.hidden = event.target.value !== "set";
      for (const input of detail.querySelectorAll("input, select")) input.disabled = detail.hidden;
    });
    return row;
  });
}

/** Return the change in the form, as the service expects it: null clears a field; a field to keep is left out. */
export function changeOf(form) {
  const data = new FormData(form);
  const set = {};
  for (const field of FIELDS) {
    const choice = data.get(field.name);
    if (choice === "on" || choice === "off") set[field.name] = choice === "on";
    if (choice === "clear") set[field.name] = null;
    if (choice === "set") {
      const given = field.inputs.map((_, at) => data.get(`${field.name}-${at}`).trim());
      set[field.name] = field.value ? field.value(given) : given[0];
    }
  }
  return set;
}

/** Return the label of a field. */
export const fieldLabel = (name) => BY_NAME.get(name)?.label ?? name;

/** Return a value as text for the page. */
export function valueText(value) {
  if (value === null || value === undefined || value === "") return "none";
  if (value === true) return "on";
  if (value === false) return "off";
  if (Array.isArray(value)) return value.map((each) => each.destination ?? JSON.stringify(each)).join(", ") || "none";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Describe a list of changes in a few words; values are named only if all changes set the same value. */
export function inWords(changes) {
  const values = new Map();
  for (const { field, after } of changes.flatMap((change) => change.fields)) {
    if (!values.has(field)) values.set(field, new Set());
    values.get(field).add(JSON.stringify(after));
  }
  const words = [...values].map(([field, after]) => {
    const one = after.size === 1 ? JSON.parse([...after][0]) : undefined;
    if (typeof one === "boolean") return `${fieldLabel(field)} ${one ? "on" : "off"}`;
    if (one === null) return `${fieldLabel(field)} cleared`;
    if (typeof one === "number") return `${fieldLabel(field)} ${one} s`;
    return `${fieldLabel(field)} set`;
  });
  // Only the first word begins with a capital letter; abbreviations stay as they are.
  return words.map((each, at) => (at && /^.[a-z]/.test(each) ? each[0].toLowerCase() + each.slice(1) : each)).join(", ");
}
