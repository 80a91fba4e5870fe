// Writes names, numbers and times for people.
//
// Every text from outside goes in through textContent, in a bdi element: a name cannot be markup, and its direction does
// not affect the text around it.

export function make(tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
}

export function foreign(text, name) {
  return make("bdi", text, name);
}

// A file's name, in which lines may break after _ and -.
export function fileName(text) {
  const name = make("bdi", undefined, "name");
  for (const part of text.split(/(?<=[_-])/)) name.append(part, make("wbr"));
  return name;
}

export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function isWeb(address) {
  return /^https?:\/\//i.test(address ?? "");
}

export function sizeWords(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = bytes > 0 ? Math.min(4, Math.floor(Math.log10(bytes) / 3)) : 0;
  const size = bytes / 1000 ** step;
  return `${size < 10 && step ? size.toFixed(1) : Math.round(size)} ${units[step]}`;
}

export function clock(time) {
  const then = new Date(time);
  const sameDay = then.toDateString() === new Date().toDateString();
  return sameDay ? `at ${then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}` : then.toLocaleString();
}

export function ago(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1000);
  if (seconds < 60) return "just now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return new Date(time).toLocaleDateString();
}

export function times(count, singular, plural) {
  return `${count} ${count === 1 ? singular : plural}`;
}
