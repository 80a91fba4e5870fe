// How the page writes times: in the reader's own zone, today's without the date.

const hour = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function ago(time, now) {
  const seconds = (now - time) / 1000;
  if (seconds < -1) return { words: clock(time, now), whole: whole.format(time) };
  if (seconds < 60) return { words: "just now", whole: whole.format(time) };
  if (seconds < 3600) return { words: `${Math.floor(seconds / 60)} min ago`, whole: whole.format(time) };
  return { words: clock(time, now), whole: whole.format(time) };
}

function clock(time, now) {
  const words = hour.format(time);
  return time.toDateString() === now.toDateString() ? words : `${day.format(time)}, ${words}`;
}
