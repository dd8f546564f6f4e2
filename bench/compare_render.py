"""compare_render.py — a comparison's figures as a Markdown table and as a chart (SVG). Reads what compare.py collected, measures nothing."""
import statistics
from html import escape

from compare_tasks import TASKS


# ---- figures ----------------------------------------------------------------------------------

def medians(seen):
    """seen: {key: [values]} or, for several peers, {key: {label: [values]}} → {key: median}, the fastest peer's for "peer"."""
    out = {}
    for key, values in seen.items():
        if isinstance(values, dict): values = max(values.values(), key=statistics.median) if values else []
        if values: out[key] = statistics.median(values)
    return out


def best_peer(seen):
    """(label, values) of the fastest."""
    peers = seen.get("peer") or {}
    return max(peers.items(), key=lambda item: statistics.median(item[1])) if peers else (None, [])


def number(x): return f"{x:.0f}" if abs(x) >= 1000 else f"{x:.1f}" if abs(x) >= 10 else f"{x:.2f}"
def spread(values): return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})" if len(values) > 1 else number(values[0])


def judged(task, m):
    """(text, whether met) of each target that can be computed."""
    for t in task.targets:
        try: value = t.value(m)
        except (KeyError, ZeroDivisionError): continue
        met = value <= t.must if t.most else value >= t.must
        sign, aim = "≤" if t.most else "≥", f", aim {number(t.aim)}" if t.aim is not None else ""
        bound = f" ({sign} {number(t.must)}{aim})" if t.must else f" (aim {number(t.aim)})"
        yield f"{number(value)} {t.what}{bound}", met


def verdict(task, m):
    results = list(judged(task, m))
    if len(results) < len(task.targets) and not (task.either and results): return "not measured"
    good = any if task.either else all
    return "met" if good(met for _, met in results) else "missed"


# ---- the table --------------------------------------------------------------------------------

def row(task, seen):
    m = medians(seen)
    name, peer = best_peer(seen)
    memory = " / ".join(number(m[key] / 1e9) for key in ("memory", "peer memory") if key in m)
    cells = [task.title, f"{spread(seen['lorac'])} {task.unit}", f"{spread(peer)} ({name})" if peer else "", f"{m['lorac'] / m['peer']:.2f}" if peer else "",
             f"{m['share']:.0f} %" if "share" in m else "", memory, "; ".join(text for text, _ in judged(task, m)), verdict(task, m)]
    return "| " + " | ".join(cells) + " |"


def limits(machines):
    def g(key, unit):
        values = [machine[key] / 1e9 for machine in machines if machine.get(key)]
        return f"{spread(values)} {unit}" if values else ""
    first = machines[0]
    named = [g("read_bandwidth_bytes_per_second", "GB/s read"), g("peak_f32_flops", "GFLOP/s f32"), g("peak_bf16_flops", "GFLOP/s bf16"), g("peak_int8_ops", "GOP/s int8")]
    return f"{first['cpu']}, {first['threads']} threads, {first['isa']}. Limits measured in the same runs: {', '.join(filter(None, named))}."


def best_machines(machines):
    """Those measured with most threads on the best instruction set: the others belong to tasks about threads or AVX2."""
    most = max(machine["threads"] for machine in machines)
    fastest = max(machine["peak_int8_ops"] for machine in machines)
    return [m for m in machines if m["threads"] == most and m["peak_int8_ops"] > fastest / 2 and (m["peak_bf16_flops"] > 0 or not any(n["peak_bf16_flops"] for n in machines))]


def markdown(record):
    lines = ["| work | lorac | peer | ratio | share of limit | GB | target | |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    measured = {name: seen for name, seen in record["tasks"].items() if seen.get("lorac")}
    lines += [row(TASKS[name], seen) for name, seen in measured.items()]
    lines += ["", f"Medians of {record['rounds']} interleaved rounds (least–most); GB: peak memory, lorac's / the peer's."]
    if record["machines"]: lines += ["", limits(best_machines(record["machines"]))]
    if record["skipped"]: lines += ["", "Left out:", "", *(f"- {name}: {why}" for name, why in record["skipped"].items())]
    return "\n".join(lines) + "\n"


# ---- the chart --------------------------------------------------------------------------------

LEFT, BAR, WIDTH, ROW = 330, 400, 900, 46
STYLE = """<style>text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600}.l{fill:#1769aa}.p{fill:#b6bcc4}.m{stroke:#c0392b;stroke-width:2}.n{fill:#555}
@media(prefers-color-scheme:dark){text{fill:#ddd}.n{fill:#aaa}.l{fill:#4aa3e0}.p{fill:#6a7078}}</style>"""


def charted(record):
    """(task, lorac, peer or None, peer's name, limit or None) of every task that is a speed."""
    for name, seen in record["tasks"].items():
        task, m = TASKS[name], medians(seen)
        if "lorac" not in m or not task.unit.endswith("tokens/s") or not ("peer" in m or "share" in m): continue
        yield task, m["lorac"], m.get("peer"), best_peer(seen)[0], 100 * m["lorac"] / m["share"] if m.get("share") else None


def bar(x, y, height, kind, share, label):
    width = max(1.0, share * BAR)
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width:.1f}" height="{height}" rx="2"/><text class="n" x="{x + width + 6:.1f}" y="{y + height - 3}">{escape(label)}</text>'


def svg(record):
    """A row a task: lorac's bar above its peer's, a mark at the measured limit; each row is scaled by the largest of the three."""
    rows, parts = list(charted(record)), []
    for i, (task, lorac, peer, name, limit) in enumerate(rows):
        y, top = 40 + i * ROW, max(filter(None, (lorac, peer, limit)))
        parts.append(f'<text x="{LEFT - 10}" y="{y + 18}" text-anchor="end">{escape(task.title)}</text>')
        parts.append(bar(LEFT, y, 14, "l", lorac / top, f"lorac {number(lorac)}"))
        if peer: parts.append(bar(LEFT, y + 17, 14, "p", peer / top, f"{name} {number(peer)}"))
        if limit: parts.append(f'<line class="m" x1="{LEFT + limit / top * BAR:.1f}" x2="{LEFT + limit / top * BAR:.1f}" y1="{y - 3}" y2="{y + 34}"/>')
    height = 40 + len(rows) * ROW + 10
    head = f'<text class="t" x="10" y="20">Tokens a second; the red mark is the limit that the machine was measured to have</text>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">\n{STYLE}\n{head}\n' + "\n".join(parts) + "\n</svg>\n"
