"""Makes a model that says nothing sensible: a small random Llama and a tokenizer trained on the spot.

Runs in vLLM's environment: `python tiny_model.py FOLDER SIZE`. A head has 64 dimensions, the least that vLLM's kernel for the CPU takes. A token
of the small one takes some 20 ms, as with real models; the tiny one makes dozens before an engine on a busy machine learns that its client has left.
"""

import sys
from pathlib import Path

_TEXT = ["the sea is wide and slow", "light falls on every wave", "small birds write their names in wind", "0123456789 .,!?"]
_TEMPLATE = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}<|assistant|>"


SIZES = {"tiny": (128, 2), "small": (768, 12)}
"""Width, and layers."""


def main(folder: Path, size: str) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(_TEXT * 20, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|begin|>", eos_token="<|end|>")
    fast.chat_template = _TEMPLATE
    fast.save_pretrained(folder)

    torch.manual_seed(7)
    width, layers = SIZES[size]
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 64,
        head_dim=64,
        max_position_embeddings=2048,
        bos_token_id=fast.bos_token_id,
        eos_token_id=fast.eos_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
