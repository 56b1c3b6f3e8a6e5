// Owns the drawing: horizontal bars as an SVG that is readable on a light and on a dark page.

export interface Bar {
  label: string
  /** Drawn one after the other; each in the colour of its series. */
  parts: Array<{ series: string; value: number }>
  /** Lowest and highest of the rounds, drawn as a thin line. */
  range?: { lowest: number; highest: number }
  /** Written behind the bar. */
  text: string
}

export interface BarChart {
  title: string
  /** In the order of their colours and of the legend. */
  series: string[]
  groups: Array<{ title: string; bars: Bar[] }>
}

const WIDTH = 760
const LEFT = 200
const RIGHT = 130
const BAR = 18
const STEP = 26
const TITLE = 34
const GROUP_TITLE = 30
const LEGEND = 26

/** Told apart also by those who see red and green alike; enough contrast on white and on dark grey. */
const COLOURS = [
  { light: "#0b62a4", dark: "#5aa9e6" },
  { light: "#c2570c", dark: "#f4a259" },
  { light: "#6b7280", dark: "#9ca3af" },
  { light: "#16794c", dark: "#56c596" },
]

export function barChart({ title, series, groups }: BarChart): string {
  const bars = groups.flatMap((group) => group.bars)
  const longest = Math.max(...bars.map((bar) => Math.max(total(bar), bar.range?.highest ?? 0)))
  const x = (value: number) => LEFT + (value / longest) * (WIDTH - LEFT - RIGHT)
  const drawn: string[] = []
  let y = TITLE
  for (const group of groups) {
    drawn.push(text(12, y + 18, group.title, "group"))
    y += GROUP_TITLE
    for (const bar of group.bars) {
      drawn.push(drawBar(bar, y, x, series))
      y += STEP
    }
  }
  const height = y + LEGEND + 10
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">`,
    style(series.length),
    text(12, 22, title, "title"),
    ...drawn,
    legend(series, y + 16),
    "</svg>\n",
  ].join("\n")
}

function drawBar(bar: Bar, y: number, x: (value: number) => number, series: string[]): string {
  const middle = y + BAR / 2
  const lines = [text(LEFT - 8, middle + 4, bar.label, "label")]
  let from = 0
  for (const { series: name, value } of bar.parts) {
    const width = x(from + value) - x(from)
    lines.push(
      `<rect class="s${series.indexOf(name)}" x="${round(x(from))}" y="${y}" width="${round(Math.max(width, 1))}" height="${BAR}"/>`,
    )
    from += value
  }
  if (bar.range) {
    const { lowest, highest } = bar.range
    lines.push(`<path class="range" d="M${round(x(lowest))} ${middle}H${round(x(highest))}"/>`)
  }
  const end = Math.max(total(bar), bar.range?.highest ?? 0)
  lines.push(text(x(end) + 6, middle + 4, bar.text, "value"))
  return lines.join("\n")
}

function legend(series: string[], y: number): string {
  if (series.length < 2) return ""
  let x = 12
  return series
    .map((name, i) => {
      const entry = `<rect class="s${i}" x="${x}" y="${y - 10}" width="12" height="12"/>${text(x + 18, y, name, "value")}`
      x += 40 + name.length * 7
      return entry
    })
    .join("\n")
}

/** Without a known scheme: a grey that can be read on white and on black. */
function style(seriesCount: number): string {
  const fills = (scheme: "light" | "dark") =>
    Array.from(
      { length: seriesCount },
      (_, i) => `.s${i}{fill:${COLOURS[i % COLOURS.length]?.[scheme]}}`,
    ).join("")
  return `<style>
text{font:13px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#6e7781}
.title{font-size:15px;font-weight:600}.group{font-weight:600}.label{text-anchor:end}
.range{stroke:#6e7781;stroke-width:2;fill:none;opacity:.6}
${fills("light")}
@media (prefers-color-scheme:light){text{fill:#24292f}.range{stroke:#24292f}}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.range{stroke:#e6edf3}${fills("dark")}}
</style>`
}

function text(x: number, y: number, content: string, name: string): string {
  return `<text class="${name}" x="${round(x)}" y="${y}">${escaped(content)}</text>`
}

function total({ parts }: Bar): number {
  return parts.reduce((sum, { value }) => sum + value, 0)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")
}
