"""Checkpoints that somebody sent: each is refused by name, runs nothing, reads no file outside its folder, and takes little memory and time.

All are loaded in one process, which is watched by an audit hook; each test looks at what became of one of them.
"""
import json
import os
import pickle
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
import zipfile
from functools import partial
from pathlib import Path

import pytest
import torch
from real_formats import write_clip, write_dino, write_sd2, write_siglip
from safetensors.torch import load_file, save_file
from watching import memory

from dotseg.models.checkpoints import CheckpointError, find_checkpoint
from dotseg.segmentation.presets import PRESETS

TINY_CLIP = dict(embed_dim=16, vision_cfg=dict(image_size=32, layers=1, width=32, head_width=16, patch_size=16), text_cfg=dict(width=16, heads=2, layers=1))
WRITERS = {
    "clip": partial(write_clip, name="ViT-B-16-quickgelu", **TINY_CLIP),
    "vit": partial(write_dino, registers=True, width=48, layers=1, heads=4, image_size=56),
    "siglip": partial(write_siglip, small=True),
    "sd": partial(write_sd2, small=True),
}
WEIGHTS = {"clip": "open_clip_model.safetensors", "vit": "model.safetensors", "siglip": "model.safetensors", "sd": "unet/diffusion_pytorch_model.fp16.safetensors"}
SECRET = "secret.safetensors"  # beside the folder; weights that would do


class Run:  # what an unpickler would call
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def marked(folder):  # a call that leaves a file behind
    return str(folder.parent / "ran")


def spoilt(kind, protocol, tensors, folder):  # -> what is pickled
    mark = marked(folder)
    call = {"system": Run(os.system, f"touch {mark}"), "open": Run(open, mark, "w"), "eval": Run(eval, f"open({mark!r}, 'w')"), "mkdir": Run(os.mkdir, mark),
            "popen": Run(subprocess.Popen, ["touch", mark]), "load": Run(torch.load, mark)}[kind]
    return {"state_dict": tensors, "args": call}


def write_pickle(folder, file, kind="system", protocol=2, zipped=False):
    path, tensors = folder / file, {"weight": torch.zeros(2)}
    if zipped:
        torch.save(spoilt(kind, protocol, tensors, folder), path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps({"weight": spoilt(kind, protocol, [1.0], folder)}, protocol))


def instead(folder, model, file, **options):  # the weights replaced by a pickle
    (folder / WEIGHTS[model]).unlink()
    write_pickle(folder, file, **options)


def alter(folder, file, change):  # of a JSON file
    path = folder / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def add(folder, file, part=None, **fields):
    alter(folder, file, lambda said: said | fields if part is None else said | {part: said[part] | fields})


def header(folder, kind, change):  # of a safetensors file; `change` gets header and data, gives the file
    path = folder / WEIGHTS[kind]
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    path.write_bytes(change(json.loads(content[8 : 8 + length]), content[8 + length :], content))


def pack(said, data, length=None):
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def first(said, **fields):  # the first tensor of a header with other fields
    name = next(name for name in said if name != "__metadata__")
    return said | {name: said[name] | fields}


LIES = {
    "length 0": lambda h, d, c: pack(h, d, 0), "length 1": lambda h, d, c: pack(h, d, 1), "length 2**40": lambda h, d, c: pack(h, d, 2**40), "length 2**63": lambda h, d, c: pack(h, d, 2**63),
    "length of the file": lambda h, d, c: pack(h, d, len(c)), "length one short": lambda h, d, c: pack(h, d, len(json.dumps(h)) - 1),
    "no JSON": lambda h, d, c: pack(b"{" * 500, d), "a list": lambda h, d, c: pack([1], d), "very deep": lambda h, d, c: pack(b'{"a":' * 5000 + b"1" + b"}" * 5000, d),
    "offset behind the end": lambda h, d, c: pack(first(h, data_offsets=[0, 10**9]), d), "offset below 0": lambda h, d, c: pack(first(h, data_offsets=[-8, 0]), d),
    "offsets turned": lambda h, d, c: pack(first(h, data_offsets=[8, 0]), d), "offset of 2**63": lambda h, d, c: pack(first(h, data_offsets=[0, 2**63]), d),
    "offsets that overlap": lambda h, d, c: pack({k: v if k == "__metadata__" else v | {"data_offsets": [0, v["data_offsets"][1] - v["data_offsets"][0]]} for k, v in h.items()}, d),
    "type unknown": lambda h, d, c: pack(first(h, dtype="F31"), d), "type wider": lambda h, d, c: pack(first(h, dtype="F64"), d),
    "shape larger": lambda h, d, c: pack(first(h, shape=[10**6, 10**6]), d), "shape below 0": lambda h, d, c: pack(first(h, shape=[-1, -5]), d),
    "shape that overflows": lambda h, d, c: pack(first(h, shape=[2**32, 2**32, 2**32]), d), "no offsets": lambda h, d, c: pack(first(h, data_offsets=None), d),
    "data cut": lambda h, d, c: pack(h, d[:-7]), "data too long": lambda h, d, c: pack(h, d + b"more"), "nothing": lambda h, d, c: b"", "seven bytes": lambda h, d, c: b"\0" * 7,
    "a gap": lambda h, d, c: pack(first(h, data_offsets=[4, 8]), d),
}
KERNEL = "somebody/flash-attention"
CODE = {  # fields of a config.json that name code
    "auto_map": {"auto_map": {"AutoConfig": "own.Config", "AutoModel": "own.Model"}}, "auto_map of a repository": {"auto_map": {"AutoModel": "somebody/repo--own.Model"}},
    "trust_remote_code": {"trust_remote_code": True}, "_attn_implementation": {"_attn_implementation": KERNEL}, "attn_implementation": {"attn_implementation": KERNEL},
    "_attn_implementation_internal": {"_attn_implementation_internal": KERNEL}, "flash_attention_2": {"_attn_implementation": "flash_attention_2"}, "by part": {"attn_implementation": {"": KERNEL}},
    "_experts_implementation": {"_experts_implementation": KERNEL}, "quantization_config": {"quantization_config": {"quant_method": "mxfp4"}}, "use_kernels": {"use_kernels": True},
    "kernel_config": {"kernel_config": {"kernel_mapping": {"LayerNorm": KERNEL}}}, "backbone": {"backbone": "resnet50", "use_pretrained_backbone": True}, "custom_pipelines": {"custom_pipelines": {"a": {"impl": "own.py"}}},
    "allow_all_kernels": {"allow_all_kernels": True}, "adapter": {"base_model_name_or_path": "somebody/model"}, "deep inside": {"text_config": {"a": {"b": [{"_attn_implementation": KERNEL}]}}},
}
HUGE = {
    "layers": {"num_hidden_layers": 10**7}, "width": {"hidden_size": 2**20, "num_attention_heads": 4}, "width of 2**40": {"hidden_size": 2**40}, "image": {"image_size": 10**6}, "many patches": {"image_size": 8192, "patch_size": 1},
    "patch of 0": {"patch_size": 0}, "patch below 0": {"patch_size": -14}, "mlp": {"mlp_ratio": 10**6}, "mlp of a float": {"mlp_ratio": 1e18}, "heads": {"num_attention_heads": 10**9}, "no heads": {"num_attention_heads": 0},
    "registers": {"num_register_tokens": 10**9}, "channels": {"num_channels": 2**20}, "a number of 4000 digits": {"num_hidden_layers": 10**4000}, "layers as a float": {"num_hidden_layers": 1e7}, "layers as text": {"num_hidden_layers": "1e7"},
    "eps": {"layer_norm_eps": float("nan")}, "infinite scale": {"layerscale_value": float("inf")}, "511 layers": {"num_hidden_layers": 511, "hidden_size": 2**14}, "a list": {"layer_types": ["full"] * 10**5},
}
HUGE_UNET = {
    "channels": {"block_out_channels": [2**19] * 4}, "blocks": {"block_out_channels": [8] * 10**5}, "layers": {"layers_per_block": 10**6}, "transformers": {"transformer_layers_per_block": 10**6},
    "lists in lists": {"transformer_layers_per_block": [[10**6], [1], [1], [1]]}, "prompt": {"cross_attention_dim": 2**30}, "time": {"time_embedding_dim": 2**20}, "kernel": {"conv_in_kernel": 2**20 - 1},
}
HUGE_CLIP = {
    "layers": ("vision_cfg", {"layers": 10**7}), "text layers": ("text_cfg", {"layers": 10**7}), "context": ("text_cfg", {"context_length": 10**6}), "width": ("text_cfg", {"width": 2**20}), "image": ("vision_cfg", {"image_size": 10**6}),
    "patches": ("vision_cfg", {"image_size": 8192, "patch_size": 1}), "vocabulary": ("text_cfg", {"vocab_size": 10**9}), "mlp": ("vision_cfg", {"mlp_ratio": 1e15}), "timm": ("vision_cfg", {"timm_model_name": "resnet50", "timm_model_pretrained": True}),
    "tokenizer": ("text_cfg", {"hf_tokenizer_name": "somebody/tokenizer"}), "text tower": ("text_cfg", {"hf_model_name": "somebody/model"}),
}
OUTSIDE = [f"../{SECRET}", f"../../{SECRET}", "/etc/passwd", "..", ".", "", f"x/../../{SECRET}", f"..\\{SECRET}", 7, None, ["a"], "model.bin", "a\0b.safetensors"]


def index(folder, kind, name):  # the weights in several files, one of which lies elsewhere
    path = folder / WEIGHTS[kind]
    save_file(load_file(path), folder.parent / SECRET, metadata={"format": "pt"})
    stem = path.name.replace(".safetensors", "").replace(".fp16", "")
    other = path.with_name(f"{stem}.safetensors.index{'.fp16' if '.fp16' in path.name else ''}.json")
    other.write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(load_file(path), name)}))
    if kind != "sd":
        path.unlink()


def odd_file(folder, file, how):
    path = folder / file
    if path.is_file():
        path.unlink()
    {"pipe": lambda: os.mkfifo(path), "/dev/zero": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir, "link to nowhere": lambda: path.symlink_to("nowhere"),
     "a link to itself": lambda: path.symlink_to(path.name), "4 GB of nothing": lambda: (path.write_bytes(b""), os.truncate(path, 2**32))}[how]()


def bomb(folder, how):  # in the weights of a ViT
    path, tensors = folder / "pytorch_model.bin", load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if how in ("deflate", "lzma"):
        torch.save(tensors | {"more": torch.zeros(10**7)}, path)
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(folder / "packed", "w", {"deflate": zipfile.ZIP_DEFLATED, "lzma": zipfile.ZIP_LZMA}[how]) as packed:
            for name in archive.namelist():
                packed.writestr(name, archive.read(name))
        os.replace(folder / "packed", path)
    elif how == "overlap":  # every entry of the directory leads to the same bytes
        torch.save(tensors, path)
        with zipfile.ZipFile(path, "a") as archive:
            largest = max(archive.infolist(), key=lambda part: part.file_size)
            for i in range(2000):
                again = zipfile.ZipInfo(f"archive/data/{10**6 + i}")
                again.header_offset, again.file_size, again.compress_size, again.CRC = largest.header_offset, largest.file_size, largest.file_size, largest.CRC
                archive.filelist.append(again)
                archive.NameToInfo[again.filename] = again
            archive._didModify = True
    else:
        name, x = next(iter(tensors.items()))
        loop: dict = {}
        loop["model"] = loop
        key = ("a", ("b", 1))  # no text
        torch.save({"spread": tensors | {name: torch.zeros(1).expand(10**6, 10**6)}, "itself": loop, "key": {key: x}, "key beside": tensors | {key: x}, "sparse": tensors | {name: torch.eye(3).to_sparse()},
                    "meta": tensors | {name: torch.empty(10**6, 10**6, device="meta")}, "buffer": {"weights": bytearray(10)}, "quantised": tensors | {name: torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)},
                    "wrapped for ever": {"model": {"model": {"model": {"model": {"model": {"model": {"model": {"model": {"model": tensors}}}}}}}}}}[how], path)


def spoil_number(folder, kind, value, where):
    path = folder / WEIGHTS[kind] if where is None else folder / where
    tensors = load_file(path)
    name = max(name for name, x in tensors.items() if x.is_floating_point())
    tensors[name].view(-1)[-1] = value
    save_file(tensors, path, metadata={"format": "pt"})


ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".safetensors", ".PT", ".zip", "")
ATTACKS = {}  # name -> model, what is done to its folder, what is given instead of the folder
for ending in ENDINGS:
    for kind, protocol, zipped in (("system", 0, False), ("open", 2, False), ("eval", 4, False), ("mkdir", 2, True), ("popen", 5, True)):
        ATTACKS[f"code: model{ending}, {kind}, protocol {protocol}{', zipped' if zipped else ''}"] = "clip", partial(write_pickle, file=f"own{ending}", kind=kind, protocol=protocol, zipped=zipped), f"own{ending}"
for kind, protocol, zipped in (("system", 2, False), ("open", 4, True), ("load", 2, True), ("eval", 2, False)):
    for model, files in {"clip": ("open_clip_pytorch_model.bin", "pytorch_model.bin"), "vit": ("pytorch_model.bin",), "siglip": ("pytorch_model.bin",), "sd": ("unet/diffusion_pytorch_model.bin", "unet/diffusion_pytorch_model.fp16.bin")}.items():
        for file in files:
            ATTACKS[f"code: {model} {file}, {kind}, protocol {protocol}"] = model, partial(instead, model=model, file=file, kind=kind, protocol=protocol, zipped=zipped), None
for lie, change in LIES.items():
    for model in ("clip", "vit", "sd"):
        ATTACKS[f"header: {model}, {lie}"] = model, partial(header, kind=model, change=change), None
for name, fields in CODE.items():
    for model, file in {"vit": "config.json", "siglip": "config.json", "sd": "unet/config.json"}.items():
        ATTACKS[f"config: {model}, {name}"] = model, partial(add, file=file, **fields), None
    ATTACKS[f"config: part of siglip, {name}"] = "siglip", partial(add, file="config.json", part="vision_config", **fields), None
    ATTACKS[f"config: text encoder, {name}"] = "sd", partial(add, file="text_encoder/config.json", **fields), None
for name in ("auto_map", "trust_remote_code"):
    ATTACKS[f"config: tokenizer of siglip, {name}"] = "siglip", partial(add, file="tokenizer_config.json", **CODE[name]), None
    ATTACKS[f"config: tokenizer of sd, {name}"] = "sd", partial(add, file="tokenizer/tokenizer_config.json", **CODE[name]), None
ATTACKS["config: another tokenizer"] = "siglip", partial(add, file="tokenizer_config.json", tokenizer_class="Wav2Vec2PhonemeCTCTokenizer"), None
ATTACKS["config: another class"] = "sd", partial(add, file="unet/config.json", _class_name="UNet3DConditionModel"), None
ATTACKS["config: a class of no library"] = "sd", partial(add, file="vae/config.json", _class_name="os.system"), None
for kind in ("own", "bert", "timm_wrapper", "dpt", "swin", "clip", 7, None, ["vit"], "__class__", "../vit"):
    ATTACKS[f"config: model_type {kind}"] = "siglip", partial(add, file="config.json", model_type=kind), None
for name, fields in HUGE.items():
    ATTACKS[f"huge: vit, {name}"] = "vit", partial(add, file="config.json", **fields), None
for name, fields in HUGE_UNET.items():
    ATTACKS[f"huge: unet, {name}"] = "sd", partial(add, file="unet/config.json", **fields), None
for name, (part, fields) in HUGE_CLIP.items():
    ATTACKS[f"huge: clip, {name}"] = "clip", partial(alter, file="open_clip_config.json", change=lambda said, p=part, f=fields: {"model_cfg": said["model_cfg"] | {p: said["model_cfg"][p] | f}}), None
for name, fields in {"layers": {"num_hidden_layers": 10**7}, "vocabulary": {"vocab_size": 10**9}, "length": {"max_position_embeddings": 3 * 10**8}}.items():
    ATTACKS[f"huge: text encoder, {name}"] = "sd", partial(add, file="text_encoder/config.json", **fields), None
    ATTACKS[f"huge: text part, {name}"] = "siglip", partial(add, file="config.json", part="text_config", **fields), None
ATTACKS["huge: steps"] = "sd", partial(add, file="scheduler/scheduler_config.json", num_train_timesteps=10**12), None
ATTACKS["huge: a config of 8 MB"] = "vit", partial(add, file="config.json", about="x" * 2**23), None
ATTACKS["huge: a deep config"] = "vit", lambda folder: (folder / "config.json").write_text('{"a":' * 10**5 + "1" + "}" * 10**5), None
ATTACKS["huge: a deep list"] = "vit", lambda folder: (folder / "config.json").write_text("[" * 10**5), None
for text in ("null", "[]", "7", '"x"', "{", "", "\0"):
    ATTACKS[f"config: {text!r}"] = "vit", lambda folder, text=text: (folder / "config.json").write_text(text), None
for name in OUTSIDE:
    for model in ("vit", "sd", "siglip"):
        ATTACKS[f"index: {model}, {name!r}"] = model, partial(index, kind=model, name=name), None
for how in ("pipe", "/dev/zero", "folder", "link to nowhere", "a link to itself", "4 GB of nothing"):
    for model, files in {"clip": ("open_clip_config.json", WEIGHTS["clip"]), "vit": ("config.json", WEIGHTS["vit"], "preprocessor_config.json"), "siglip": ("tokenizer.json", "tokenizer_config.json"),
                         "sd": ("unet/config.json", WEIGHTS["sd"], "tokenizer/vocab.json", "tokenizer/merges.txt", "scheduler/scheduler_config.json", "text_encoder/config.json")}.items():
        for file in files:
            if (how, file) not in ((("folder"), "preprocessor_config.json"), ("link to nowhere", "preprocessor_config.json"), ("a link to itself", "preprocessor_config.json")):
                ATTACKS[f"odd file: {model} {file}, {how}"] = model, partial(odd_file, file=file, how=how), None
for how in ("deflate", "lzma", "overlap", "spread", "itself", "key", "key beside", "sparse", "meta", "buffer", "quantised", "wrapped for ever"):
    ATTACKS[f"bomb: {how}"] = "vit", partial(bomb, how=how), None
for value in (float("nan"), float("inf"), -float("inf")):
    for model, where in (("clip", None), ("vit", None), ("siglip", None), ("sd", None), ("sd", "vae/diffusion_pytorch_model.fp16.safetensors"), ("sd", "text_encoder/model.fp16.safetensors")):
        ATTACKS[f"numbers: {model} {where or ''}, {value}"] = model, partial(spoil_number, kind=model, value=value, where=where), None
HARMLESS = {  # what real files say, and nobody asks for
    "harmless: a length of 3e8": ("sd", partial(add, file="tokenizer/tokenizer_config.json", model_max_length=3 * 10**8), None),
    "harmless: no end of length": ("siglip", partial(add, file="tokenizer_config.json", model_max_length=1000000000000000019884624838656), None),
    "harmless: sdpa": ("vit", partial(add, file="config.json", _attn_implementation="sdpa", _attn_implementation_autoset=True, trust_remote_code=False, auto_map=None), None),
    "harmless: a name twice": ("clip", partial(header, kind="clip", change=lambda h, d, c: pack(json.dumps(h).encode()[:-1] + b"," + json.dumps(h).encode()[1:], d)), None),
    "harmless: untouched clip": ("clip", lambda folder: None, None),
}


class OutOfTime(BaseException):
    pass


def load(model, path):
    from dotseg.models.clip_files import load_clip
    from dotseg.models.diffusion import load_diffusion
    from dotseg.models.siglip import load_siglip
    from dotseg.models.vit import load_vit

    return {"clip": load_clip, "vit": load_vit, "siglip": load_siglip, "sd": load_diffusion}[model](path)


def main(place):  # load all; a line of JSON for each
    from dotseg.models.checkpoints import CheckpointError

    heard, root = [], ""

    def listen(event, args):
        if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)) and os.fsdecode(args[0]).startswith(root or "\0"):
            heard.append(("open", os.path.normpath(os.fsdecode(args[0]))))
        elif root and event in ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "socket.getaddrinfo", "os.mkdir", "os.remove", "os.rename"):
            heard.append((event, str(args)[:200]))

    def ring(*_):
        raise OutOfTime

    for model, write in WRITERS.items():
        write(place / model)
        load(model, place / model)  # imports
    signal.signal(signal.SIGALRM, ring)
    sys.addaudithook(listen)
    resource.setrlimit(resource.RLIMIT_DATA, (2**33, 2**33))
    with open(place / "results", "w") as results:
        for name, (model, spoil, file) in (ATTACKS | HARMLESS).items():
            yard = place / "yard"
            folder = yard / model
            shutil.copytree(place / model, folder, symlinks=True)
            spoil(folder)
            given = folder / (file or "")
            Path("/proc/self/clear_refs").write_text("5")
            before, start = memory("VmRSS"), time.monotonic()
            signal.alarm(60)
            try:
                root = str(yard)
                load(model, given)
                said = "loaded"
            except CheckpointError as error:
                said = str(error)
            except (Exception, OutOfTime) as error:
                said = f"{type(error).__name__}: {error}"[:300]
            finally:
                root = ""
                signal.alarm(0)
            ran = (yard / "ran").exists()
            outside = [what for what in heard if what[0] != "open" or not what[1].startswith(str(folder))]
            results.write(json.dumps({"name": name, "said": said, "given": str(folder), "seconds": time.monotonic() - start, "memory": memory("VmHWM") - before, "ran": ran, "outside": outside}) + "\n")
            results.flush()
            heard.clear()
            shutil.rmtree(yard)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    place = tmp_path_factory.mktemp("attack")
    code = f"import sys, pathlib; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_attack_checkpoints as attack; attack.main(pathlib.Path({str(place)!r}))"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=900, env=os.environ | {"HF_HUB_OFFLINE": ""})
    found = {line["name"]: line for line in map(json.loads, (place / "results").read_text().splitlines())}
    assert done.returncode == 0, f"after {len(found)}: {done.stderr[-2000:]}"
    return found


VARIABLES = {part.checkpoint.variable: (part.checkpoint, preset) for preset in PRESETS for part in PRESETS[preset].parts.values() if part.checkpoint}


def odd_path(place, how):  # -> what a variable is set to
    path = place / "odd"
    {"/dev/zero": lambda: None, "a link to /dev/zero": lambda: path.symlink_to("/dev/zero"), "a terminal": lambda: None, "pipe": lambda: os.mkfifo(path), "a link to a pipe": lambda: (os.mkfifo(place / "pipe"), path.symlink_to("pipe")),
     "socket": lambda: socket.socket(socket.AF_UNIX).bind(os.path.relpath(path)), "a link to itself": lambda: path.symlink_to("odd"), "nothing": lambda: None, "a name too long": lambda: None}[how]()
    return {"/dev/zero": "/dev/zero", "a terminal": "/dev/tty", "a name too long": str(place / ("x" * 5000))}.get(how, str(path))


@pytest.mark.parametrize("how", ("/dev/zero", "a link to /dev/zero", "a terminal", "pipe", "a link to a pipe", "socket", "a link to itself", "nothing", "a name too long"))
@pytest.mark.parametrize("variable", VARIABLES)
def test_what_a_variable_leads_to(variable, how, tmp_path, monkeypatch):
    checkpoint, preset = VARIABLES[variable]
    monkeypatch.chdir(tmp_path)
    for other in VARIABLES:
        monkeypatch.setenv(other, str(tmp_path))
    monkeypatch.setenv(variable, odd_path(tmp_path, how))
    opened = []
    with monkeypatch.context() as patch:
        patch.setattr("socket.socket.connect", lambda *a: opened.append("network"))
        patch.setattr("builtins.open", lambda path, *a, **k: opened.append(path))
        patch.setattr("io.open", lambda path, *a, **k: opened.append(path))
        with pytest.raises(CheckpointError) as refused:
            find_checkpoint(checkpoint)
    assert str(refused.value).startswith(f"{checkpoint.model}: {os.environ[variable][:200]}") and not opened
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it waits"))
    signal.alarm(20)
    try:
        with pytest.raises(CheckpointError, match="^" + re.escape(checkpoint.model)):
            PRESETS[preset].build()
    finally:
        signal.alarm(0)


REASONS = (  # what a name begins with, and what is said of all of that kind; the first that fits counts
    (r"code: model\.safetensors", "its header claims"), ("code", "holds code besides tensors, and code is never run"), ("header", "it is damaged, cut short or not a checkpoint"),
    (rf"config: .*, ({'|'.join(CODE)})$", "holds code besides tensors, and code is never run: it asks for"), ("config: model_type", "its config.json says model_type"),
    ("index", "no other file is opened"), ("bomb", "it is packed|is not a plain array|holds no weights by name"), ("numbers", "its weights are damaged: .* holds NaN or infinity"), ("", ""))


@pytest.mark.parametrize("name", ATTACKS)
def test_refused_by_name(name, results):
    found = results[name]
    assert re.search(next(reason for start, reason in REASONS if re.match(start, name)), found["said"]), found["said"]
    assert found["given"] in found["said"] and ": " in found["said"] and not found["said"].startswith(("loaded", "Error")), found["said"]
    assert not found["ran"] and not found["outside"], found["outside"]
    assert found["memory"] < 400 and found["seconds"] < 20


@pytest.mark.parametrize("name", HARMLESS)
def test_loaded(name, results):
    assert results[name]["said"] == "loaded" and not results[name]["outside"]


def test_how_many(results, capsys):
    assert len(ATTACKS) > 300
    with capsys.disabled():
        print(f"\n{len(ATTACKS)} checkpoints: at most {max(r['seconds'] for r in results.values()):.1f} s and {max(r['memory'] for r in results.values()):.0f} MB each")
