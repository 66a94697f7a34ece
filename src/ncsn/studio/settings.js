// Settings as the address holds them: those that are not as usual, by name.

export function toAddress(settings, defaults) {
  const told = new URLSearchParams();
  for (const [name, value] of Object.entries(settings)) {
    if (JSON.stringify(value) === JSON.stringify(defaults[name])) continue;
    told.set(name, typeof value === "string" ? value : JSON.stringify(value));
  }
  return told.toString();
}

export function fromAddress(text, defaults) {
  const settings = {};
  for (const [name, value] of new URLSearchParams(text.replace(/^#/, ""))) {
    if (!(name in defaults)) continue;
    if (typeof defaults[name] === "string") settings[name] = value;
    else {
      try {
        settings[name] = JSON.parse(value);
      } catch {
        settings[name] = value;
      }
    }
  }
  return settings;
}

// What a source has no use for, so that one set of data does not inherit another's class.
export function afterChange(name, settings) {
  if (name === "data") return { ...settings, label: -1, labels: false, guidance: 1 };
  if (name === "network" && settings.network === "page") return { ...settings, labels: false };
  return settings;
}
