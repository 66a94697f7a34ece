// Settings as the address holds them: those that are not as usual, by name.

// what values are like whose usual one does not show it
const LIKE = { strokes: [[[0, 0]]], columns: [""], learning_rate: 1, train_on: "", weighting: "" };

export function toAddress(settings, defaults) {
  const told = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (JSON.stringify(value) === JSON.stringify(defaults[name])) continue;
    told.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return told.toString();
}

// The settings that an address holds; whether it is one of the studio's, and not a place of the page around; and what is
// wrong with it, in words. Whether a value is in its range Python says.
export function fromAddress(text, defaults) {
  const [settings, wrong] = [{}, []];
  const found = [...new URLSearchParams(text.replace(/^#/, ""))].filter(([name]) => name in defaults);
  for (const [name, told] of found) {
    const usual = LIKE[name] ?? defaults[name];
    let value = told;
    if (typeof usual !== "string") {
      try {
        value = JSON.parse(told);
      } catch {
        value = undefined;
      }
    }
    if (alike(value, usual) || (value === null && defaults[name] === null)) settings[name] = value;
    else wrong.push(`${name}=${told}`);
  }
  const words = wrong.length ? `left as usual, as the address does not say what could be one: ${wrong.join(", ")}` : "";
  return { settings, ours: found.length > 0 || text.length < 2, wrong: words };
}

// Whether a value is of the same kind as another: of rows of numbers as long, of other lists in each part.
function alike(value, usual) {
  if (!Array.isArray(usual)) return typeof value === typeof usual;
  if (!Array.isArray(value) || (typeof usual[0] === "number" && value.length !== usual.length)) return false;
  return value.every((each) => alike(each, usual[0]));
}

// What a source has no use for, so that one set of data does not inherit another's class.
export function afterChange(name, settings) {
  if (name === "data") return { ...settings, label: -1, labels: false, guidance: 1 };
  if (name === "network" && settings.network === "page") return { ...settings, labels: false };
  return settings;
}
