import type { JSX } from "preact";

/** A small line of numbers, from zero to the biggest of them; `label` says it in words. */
export function Sparkline({ values, label, tone = "accent" }: { values: readonly number[]; label: string; tone?: "accent" | "calm" }): JSX.Element {
  const top = Math.max(1, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, index) => `${(index * step).toFixed(1)},${(30 - (value / top) * 27).toFixed(1)}`);
  return (
    <svg class={`sparkline ${tone}`} viewBox="0 0 100 32" preserveAspectRatio="none" role="img" aria-label={label}>
      {points.length > 1 && <polygon points={`0,32 ${points.join(" ")} 100,32`} />}
      {points.length > 1 && <polyline points={points.join(" ")} />}
    </svg>
  );
}
