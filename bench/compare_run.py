"""compare_run.py — runs the commands of a comparison, lorac's and the peers', and reads their figures. Nothing here knows a task."""
import dataclasses, json, os, re, signal, subprocess, sys, tempfile, threading

HERE = os.path.dirname(os.path.abspath(__file__))


class Skipped(Exception):
    """A command cannot be run here; the message says why."""


@dataclasses.dataclass(frozen=True)
class Command:
    """One process. `program` is a command of lorac's, "process" (a whole run of lorac generate, timed), a program of
    bench/ or a peer's script (*.py)."""
    program: str
    model: str
    args: str = ""
    adapters: int = 0  # so many random adapters of rank 16 for this model
    env: str = ""      # NAME=VALUE …
    until: str = ""    # a peer that would go on for long is stopped at the first line that matches


@dataclasses.dataclass
class Result:
    text: str
    fields: dict       # lorac's JSON: the object, or its lines by their "event"
    peak_bytes: float  # of the process


class Figure:
    """A number that a command yields: find(Result) → float. `label` says whose it is."""
    def __init__(self, label, command, find): self.label, self.command, self.find = label, command, find


def field(label, command, path):
    """A number of lorac's JSON, by a dotted path."""
    def find(result):
        value = result.fields
        for key in path.split("."): value = value[key]
        return float(value)
    return Figure(label, command, find)


def match(label, command, pattern):
    """The last number that the output shows after `pattern`'s beginning."""
    return Figure(label, command, lambda result: float(re.findall(pattern, result.text)[-1]))


def peak_memory(label, command): return Figure(label, command, lambda result: result.peak_bytes)


class Runner:
    """Turns commands into processes. `models` makes what a command needs; each process runs under `prefix`, in its own group."""
    def __init__(self, options, models):
        self.options, self.models = options, models
        self.machines = []  # lorac's measurements of the machine, one a run

    def words(self, c, scratch):
        o, model = self.options, self.models.path(c.model)
        args, folders = c.args.format(data=o.data, scratch=scratch).split(), self.models.adapters(c.model, c.adapters)
        if c.program == "bench_resident": return [self.built("bench_resident"), model, *args, *folders]
        for path in folders: args += ["--adapter-path", path]
        if c.program.endswith(".py"): return [o.python, os.path.join(o.peers, c.program), *([model] if c.model else []), *args]
        if c.program == "process": return [sys.executable, os.path.join(HERE, "first_token.py"), o.lorac, model]
        threads = [] if "--threads" in args else ["--threads", str(o.threads)]
        return [self.built(""), c.program, "--model", model, "--json", *args, *threads]

    def built(self, name):
        """lorac, or a program of bench/ built beside it (cmake -DLORAC_BENCH=ON)."""
        path = os.path.join(os.path.dirname(self.options.lorac), name) if name else self.options.lorac
        if not os.path.exists(path): raise Skipped(f"{path} is not built")
        return path

    def run(self, c):
        with tempfile.TemporaryDirectory(prefix="lorac-compare-") as scratch:
            words = self.options.prefix.split() + self.words(c, scratch)
            result = start(words, c, self.options.peers, self.options.limit)
        if "machine" in result.fields: self.machines.append(result.fields["machine"])
        return result


def start(words, c, folder, limit):
    """Runs to the end, to the line that says enough, or to the time limit. The process leads a group of its own, so that what it started ends with it."""
    env = os.environ | dict(pair.split("=", 1) for pair in c.env.split())
    lines, enough = [], False
    with tempfile.TemporaryFile("w+") as errors:
        p = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=folder if c.program.endswith(".py") else None, env=env, start_new_session=True)
        end = lambda: os.killpg(p.pid, signal.SIGKILL)
        timer = threading.Timer(limit, end)
        timer.start()
        try:
            for line in p.stdout:
                lines.append(line)
                enough = bool(c.until and re.search(c.until, line))
                if enough: break
        except BaseException:  # this program is interrupted: the other would go on
            end()
            raise
        finally: timer.cancel()
        if enough: end()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        said = errors.read()
    if p.returncode and not enough: raise Skipped(reason("".join(lines), said, p.returncode))
    return Result("".join(lines), fields("".join(lines)), 1024.0 * usage.ru_maxrss)


def reason(out, err, status):
    """lorac's own sentence, or the last line of what a peer said."""
    error = fields(out).get("error")
    if isinstance(error, dict): return error["message"]
    lines = [line for line in (err + out).splitlines() if line.strip()]
    if status == -signal.SIGKILL: return "stopped: it took longer than --limit allows"
    return f"exit status {status}: {lines[-1][:200] if lines else 'nothing said'}"


def fields(text):
    objects = []
    for line in text.splitlines():
        try: value = json.loads(line)
        except ValueError: continue
        if isinstance(value, dict): objects.append(value)
    by_event = {value["event"]: value for value in objects if "event" in value}
    return by_event or (objects[-1] if objects else {})
