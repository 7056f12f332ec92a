"Writes checkpoints of the real formats and sizes with random weights, as a user has them on disk."
import gzip
import json
import re
from pathlib import Path

import torch
from safetensors.torch import save_file


DINO_CONFIG = {  # as in facebook/dinov2-base
    "architectures": ["Dinov2Model"], "attention_probs_dropout_prob": 0.0, "drop_path_rate": 0.0, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
    "hidden_size": 768, "image_size": 518, "initializer_range": 0.02, "layer_norm_eps": 1e-06, "layerscale_value": 1.0, "mlp_ratio": 4, "model_type": "dinov2",
    "num_attention_heads": 12, "num_channels": 3, "num_hidden_layers": 12, "patch_size": 14, "qkv_bias": True, "torch_dtype": "float32",
    "transformers_version": "4.31.0.dev0", "use_swiglu_ffn": False,
}


def dino_shapes(width, layers, positions, registers, patch=14):
    "Names and shapes of a DINOv2's weights in the published files, which are older than those of the current transformers."
    yield from {
        "embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, width), "embeddings.position_embeddings": (1, 1 + positions, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, patch, patch), "embeddings.patch_embeddings.projection.bias": (width,),
    }.items()
    if registers:
        yield "embeddings.register_tokens", (1, 4, width)
    linear = {"attention.attention.query": (width, width), "attention.attention.key": (width, width), "attention.attention.value": (width, width),
              "attention.output.dense": (width, width), "mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    for i in range(layers):
        for name, shape in linear.items():
            yield f"encoder.layer.{i}.{name}.weight", shape
            yield f"encoder.layer.{i}.{name}.bias", shape[:1]
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "layer_scale1.lambda1", "layer_scale2.lambda1"):
            yield f"encoder.layer.{i}.{name}", (width,)
    yield from {"layernorm.weight": (width,), "layernorm.bias": (width,)}.items()


def write_dino(folder, registers=False, width=768, layers=12, heads=12, image_size=518, binary=False):
    "A DINOv2 folder of transformers, the published B/14 unless told otherwise; `binary` writes the older pytorch_model.bin."
    folder, generator = Path(folder), torch.Generator().manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    config = DINO_CONFIG | {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, "image_size": image_size}
    if registers:
        config |= {"architectures": ["Dinov2WithRegistersModel"], "model_type": "dinov2_with_registers", "num_register_tokens": 4}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    state = {}
    for name, shape in dino_shapes(width, layers, (image_size // 14) ** 2, registers):
        ones = "norm" in name and name.endswith("weight") or "lambda" in name
        spread = 2 * width**-0.5 if ".query." in name or ".key." in name else 0.5 * width**-0.5  # attention that is not all alike
        state[name] = torch.empty(shape).normal_(1.0 if ones else 0.0, 0.1 if ones else spread, generator=generator)
    if binary:
        torch.save(state, folder / "pytorch_model.bin")
    else:
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_clip(path, name="ViT-B-16-quickgelu", seed=0, **changes):
    """A CLIP of open_clip with random weights, by the ending of `path`; `changes` are of its description, such as `vision_cfg=dict(layers=2)`.

    .safetensors: open_clip's own file. .pt: OpenAI's archive, converted to a state dict, in float16 and with its three numbers. A folder: as on the hub.
    """
    from open_clip import CLIP, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD, get_model_config

    path, config = Path(path), get_model_config(name)
    for key, value in changes.items():
        config[key] = config[key] | value if isinstance(value, dict) else value
    torch.manual_seed(seed)
    state = CLIP(**config).state_dict()
    if path.suffix == ".pt":
        numbers = {"input_resolution": config["vision_cfg"]["image_size"], "context_length": 77, "vocab_size": 49408}
        kept = ("ln_", "class_embedding", "logit_scale", "visual.positional_embedding", "token_embedding", "positional_embedding")  # in float32, as OpenAI's
        half = {key: x if any(mark in key for mark in kept) else x.half() for key, x in state.items()}
        torch.save(half | {key: torch.tensor(x) for key, x in numbers.items()}, path)
    elif path.suffix == ".safetensors":
        save_file(state, path)
    else:
        path.mkdir(parents=True, exist_ok=True)
        save_file(state, path / "open_clip_model.safetensors")
        prepared = {"mean": list(OPENAI_DATASET_MEAN), "std": list(OPENAI_DATASET_STD), "interpolation": "bicubic", "resize_mode": "shortest"}
        (path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": prepared}, indent=2))
    return path


def write_transformers_clip(folder, act="quick_gelu", binary=False, width=32, layers=2, image_size=32, patch=8):
    "A CLIP folder of transformers, as openai/clip-vit-base-patch16 is one, small; -> the stock model. `binary` writes the older pytorch_model.bin, with position ids."
    from transformers import CLIPConfig, CLIPModel

    folder = Path(folder)
    part = dict(hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=2, hidden_act=act)
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(text_config=part | {"vocab_size": 49408, "eos_token_id": 2}, vision_config=part | {"image_size": image_size, "patch_size": patch}, projection_dim=16)).eval()
    for p in model.parameters():  # away from the zeros and ones that layers start with
        p.data += 0.05 * torch.randn_like(p)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "do_resize": True, "size": image_size}))
    if binary:
        from safetensors.torch import load_file

        state = load_file(folder / "model.safetensors") | {f"{part}_model.embeddings.position_ids": torch.arange(9)[None] for part in ("text", "vision")}
        torch.save(state, folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()
    return model


DINOV3_CONFIG = {  # as in facebook/dinov3-vitb16-pretrain-lvd1689m
    "architectures": ["DINOv3ViTModel"], "attention_dropout": 0.0, "drop_path_rate": 0.0, "hidden_act": "gelu", "hidden_size": 768, "image_size": 224, "initializer_range": 0.02,
    "intermediate_size": 3072, "key_bias": False, "layer_norm_eps": 1e-05, "layerscale_value": 1.0, "mlp_bias": True, "model_type": "dinov3_vit", "num_attention_heads": 12,
    "num_channels": 3, "num_hidden_layers": 12, "num_register_tokens": 4, "patch_size": 16, "pos_embed_jitter": None, "pos_embed_rescale": 2.0, "pos_embed_shift": None,
    "proj_bias": True, "query_bias": True, "rope_theta": 100.0, "torch_dtype": "float32", "transformers_version": "4.56.0.dev0", "use_gated_mlp": False, "value_bias": True,
}


def dinov3_shapes(width, layers, patch=16):
    "Names and shapes of a DINOv3's weights in the published files; keys have no bias."
    yield from {
        "embeddings.cls_token": (1, 1, width), "embeddings.mask_token": (1, 1, width), "embeddings.register_tokens": (1, 4, width),
        "embeddings.patch_embeddings.weight": (width, 3, patch, patch), "embeddings.patch_embeddings.bias": (width,),
    }.items()
    linear = {f"attention.{letter}_proj": (width, width) for letter in "qkvo"} | {"mlp.up_proj": (4 * width, width), "mlp.down_proj": (width, 4 * width)}
    for i in range(layers):
        for name, shape in linear.items():
            yield f"layer.{i}.{name}.weight", shape
            if name != "attention.k_proj":
                yield f"layer.{i}.{name}.bias", shape[:1]
        for name in ("norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias", "layer_scale1.lambda1", "layer_scale2.lambda1"):
            yield f"layer.{i}.{name}", (width,)
    yield from {"norm.weight": (width,), "norm.bias": (width,)}.items()


def write_dinov3(folder, width=768, layers=12, heads=12):
    "A DINOv3 folder of transformers, the published ViT-B/16 unless told otherwise."
    folder, generator = Path(folder), torch.Generator().manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    config = DINOV3_CONFIG | {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers, "num_attention_heads": heads}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "crop_size": None, "data_format": "channels_first", "do_normalize": True, "do_resize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "DINOv3ViTImageProcessorFast", "image_std": [0.229, 0.224, 0.225], "size": {"height": 224, "width": 224}}))
    state = {}
    for name, shape in dinov3_shapes(width, layers):
        ones = "norm" in name and name.endswith("weight") or "lambda" in name
        spread = 2 * width**-0.5 if "q_proj" in name or "k_proj" in name else 0.5 * width**-0.5
        state[name] = torch.empty(shape).normal_(1.0 if ones else 0.0, 0.1 if ones else spread, generator=generator)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def write_siglip(folder, small=False, flexible=False):
    "A SigLIP 2 folder of transformers, B/16 at 512 pixels or small, or the flexible one, with a tokenizer that knows the letters alone."
    from transformers import Siglip2Config, Siglip2Model, Siglip2Tokenizer, SiglipConfig, SiglipModel

    folder = Path(folder)
    shape = dict(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4) if small else dict(
        hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    letters = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{i:02X}>" for i in range(256)), "\u2581", *"abcdefghijklmnopqrstuvwxyz"]
    text = shape | {"vocab_size": len(letters) if small else 256_000, "max_position_embeddings": 64, "projection_size": shape["hidden_size"]}
    vision = shape | ({"num_patches": 256 if small else 1024} if flexible else {"image_size": 128 if small else 512}) | {"patch_size": 8 if small else 16}
    with torch.device("meta"):
        model = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)) if flexible else SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    model.config.save_pretrained(folder)
    Siglip2Tokenizer(vocab={token: i for i, token in enumerate(letters)}, merges=[]).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor", "image_std": [0.5, 0.5, 0.5], "resample": 2}))
    state = random_like(model, torch.float32)
    state |= {"logit_scale": torch.tensor([4.72]), "logit_bias": torch.tensor([-16.5])}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


# Stable Diffusion 2.1 base, as published: configurations, and names of weights older than those in today's diffusers and transformers

SD2_TEXT = {
    "architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "bos_token_id": 0, "dropout": 0.0, "eos_token_id": 2, "hidden_act": "gelu",
    "hidden_size": 1024, "initializer_factor": 1.0, "initializer_range": 0.02, "intermediate_size": 4096, "layer_norm_eps": 1e-05,
    "max_position_embeddings": 77, "model_type": "clip_text_model", "num_attention_heads": 16, "num_hidden_layers": 23, "pad_token_id": 1,
    "projection_dim": 512, "torch_dtype": "float32", "transformers_version": "4.25.0.dev0", "vocab_size": 49408,
}
SD2_SCHEDULER = {
    "_class_name": "PNDMScheduler", "_diffusers_version": "0.10.0.dev0", "beta_end": 0.012, "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "clip_sample": False, "num_train_timesteps": 1000, "prediction_type": "epsilon", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
    "trained_betas": None,
}
SD2_SMALL = {  # what to change for small networks
    "unet": dict(block_out_channels=(8, 8, 16, 16), attention_head_dim=(1, 2, 4, 4), cross_attention_dim=12, norm_num_groups=4, layers_per_block=1),
    "vae": dict(block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2),
    "text_encoder": dict(hidden_size=12, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2),
}
TAESD_CONFIG = {
    "_class_name": "AutoencoderTiny", "_diffusers_version": "0.20.0.dev0", "act_fn": "relu", "decoder_block_out_channels": [64] * 4,
    "encoder_block_out_channels": [64] * 4, "force_upcast": False, "in_channels": 3, "latent_channels": 4, "latent_magnitude": 3, "latent_shift": 0.5,
    "num_decoder_blocks": [3, 3, 3, 1], "num_encoder_blocks": [1, 3, 3, 3], "out_channels": 3, "scaling_factor": 1.0, "upsampling_scaling_factor": 2,
}


def random_like(model, dtype, seed=0):
    "A state dict with random numbers for a model on the meta device: signals keep their size, and attention is not all alike."
    generator, state = torch.Generator().manual_seed(seed), {}
    for name, x in model.state_dict().items():
        if x.ndim < 2:  # norms and biases
            mean, spread = float(name.endswith("weight")), 0.02
        else:
            mean, spread = 0.0, (2 if name.endswith(("to_q.weight", "to_k.weight")) else 1) * (x.numel() // x.shape[0]) ** -0.5
        state[name] = torch.empty(x.shape).normal_(mean, spread, generator=generator).to(dtype)
    return state


def write_tokenizer(folder):
    "The tokenizer of Stable Diffusion 2: open_clip's vocabulary in the two files of CLIPTokenizer, padded with an exclamation mark."
    import open_clip
    from open_clip.tokenizer import bytes_to_unicode

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz") as file:
        merges = file.read().decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(merge.split()) for merge in merges), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", "utf-8")
    special = {
        name: {"content": f"<|{word}oftext|>", "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        for name, word in (("bos_token", "start"), ("eos_token", "end"), ("unk_token", "end"))}
    (folder / "special_tokens_map.json").write_text(json.dumps(special | {"pad_token": "!"}, indent=2))
    config = {name: {"__type": "AddedToken"} | token for name, token in special.items()} | {
        "add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77, "pad_token": "<|endoftext|>",
        "tokenizer_class": "CLIPTokenizer"}  # the pad token of the other file counts
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))
    return folder


def write_weights(state, folder, stem, variant="fp16", binary=False):
    "Under the name that diffusers and transformers look for: `stem` with the variant, as .safetensors or, with `binary`, .bin."
    if binary:
        stem = stem if stem.startswith("diffusion") else f"pytorch_{stem}"
        torch.save(state, folder / f"{stem}{'.' + variant if variant else ''}.bin")
    else:
        save_file(state, folder / f"{stem}{'.' + variant if variant else ''}.safetensors", metadata={"format": "pt"})


def write_sd2(folder, small=False, variant="fp16", binary=False, old_names=True, seed=0):
    "A folder of Stable Diffusion 2.1 base with random weights; `variant` \"fp16\" holds half precision, None float32; `small` for tests in seconds."
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from dotseg.models.diffusion import SD2_UNET, SD2_VAE

    folder, dtype, change = Path(folder), torch.float16 if variant == "fp16" else torch.float32, SD2_SMALL if small else dict.fromkeys(SD2_SMALL, {})
    unet, vae, text = SD2_UNET | change["unet"], SD2_VAE | change["vae"], SD2_TEXT | change["text_encoder"]
    for name, config in (
            ("unet", {"_class_name": "UNet2DConditionModel", "_diffusers_version": "0.10.0.dev0"} | unet),
            ("vae", {"_class_name": "AutoencoderKL", "_diffusers_version": "0.10.0.dev0"} | vae), ("text_encoder", text)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / "config.json").write_text(json.dumps(config, indent=2))
    write_tokenizer(folder / "tokenizer")
    (folder / "scheduler").mkdir(exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(SD2_SCHEDULER, indent=2))
    parts = {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"], "text_encoder": ["transformers", "CLIPTextModel"],
             "tokenizer": ["transformers", "CLIPTokenizer"], "scheduler": ["diffusers", "PNDMScheduler"]}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.10.0.dev0"} | parts, indent=2))
    with torch.device("meta"):
        networks = UNet2DConditionModel(**unet), AutoencoderKL(**vae), CLIPTextModel(CLIPTextConfig(**text))
    state = random_like(networks[0], dtype, seed)
    write_weights(state, folder / "unet", "diffusion_pytorch_model", variant, binary)
    state = random_like(networks[1], dtype, seed + 1)
    if old_names:  # of the autoencoder's attention
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        state = {re.sub("(attentions.0.)(to_q|to_k|to_v|to_out.0)", lambda match: match[1] + old[match[2]], name): x for name, x in state.items()}
    write_weights(state, folder / "vae", "diffusion_pytorch_model", variant, binary)
    state = {f"text_model.{name.removeprefix('text_model.')}": x for name, x in random_like(networks[2], dtype, seed + 2).items()}
    write_weights(state | {"text_model.embeddings.position_ids": torch.arange(77)[None]}, folder / "text_encoder", "model", variant, binary)
    return folder


def write_taesd(folder, small=False, seed=0):
    "A folder of the tiny autoencoder of Stable Diffusion 1 and 2 with random weights."
    from diffusers import AutoencoderTiny

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = TAESD_CONFIG | (dict(decoder_block_out_channels=[8] * 4, encoder_block_out_channels=[8] * 4) if small else {})
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    with torch.device("meta"):
        network = AutoencoderTiny(**{name: value for name, value in config.items() if not name.startswith("_")})
    write_weights(random_like(network, torch.float32, seed), folder, "diffusion_pytorch_model", None)
    return folder
