"""Names of fields that are not ordinary text, and why. One table each; the code has no other list."""

STRIPPED: dict[str, str] = {
    # Asked for in the request, they repeat the answer or the prompt in pieces that no masker can follow.
    "logprobs": "token texts and bytes beside the text",
    "top_logprobs": "alternative tokens, likewise",
    "prompt_logprobs": "the prompt again, by token",
    "return_logprob": "SGLang's name for logprobs",
    "top_logprobs_num": "SGLang's name for top_logprobs",
    "logprob_start_len": "SGLang: logprobs of the prompt",
    "token_ids_logprob": "SGLang: logprobs of chosen tokens",
    "return_text_in_logprobs": "SGLang: token texts",
    "return_hidden_states": "the prompt as vectors",
    "n_probs": "llama.cpp's name for top_logprobs",
    "post_sampling_probs": "llama.cpp: probabilities by token",
    "return_tokens": "llama.cpp: the answer as token ids",
    "top_n_tokens": "TGI's name for top_logprobs",
    "details": "TGI: tokens and their texts",
    "decoder_input_details": "TGI: the prompt, by token",
    "echo": "the prompt again, before the answer",
    "return_token_ids": "the answer as numbers",
    "return_tokens_as_token_ids": "the answer as numbers, in text",
    "return_prompt_text": "the rendered prompt again",
    "context": "Ollama: an earlier conversation as token ids",
}
"""Removed from requests at the top level and in `NESTED`; each removal is recorded."""

UNINSPECTABLE: dict[str, str] = {
    "prompt_embeds": "a prompt as vectors",
    "input_embeds": "SGLang: a prompt as vectors",
    "inputs_embeds": "a prompt as vectors",
    "prompt_token_ids": "a prompt as numbers",
    "input_ids": "a prompt as numbers",
    "token_ids": "a prompt as numbers",
    "tokens": "text as numbers, for /detokenize",
    "audio": "OpenAI: an answer as sound",
}
"""Requests that carry one of these at the top level, in a message or in a prompt are refused."""

MEDIA_FIELDS: dict[str, str] = {
    "images": "image",
    "image_data": "image",
    "audio_data": "audio",
    "video_data": "video",
    "multimodal_data": "file",
}
"""Media in the same places (Ollama, SGLang, llama.cpp), and of which kind."""

PROMPTS = ("prompt", "input", "inputs", "text", "content", "queries", "query", "documents")
"""Fields whose list of numbers is a prompt as token ids."""

NESTED = ("parameters", "options", "sampling_params")
"""Where TGI, Ollama and SGLang keep what others have at the top level."""

MEDIA_TYPES: dict[str, str] = {
    "image": "image",
    "image_url": "image",
    "input_image": "image",
    "image_pil": "image",
    "computer_screenshot": "image",
    "audio": "audio",
    "audio_url": "audio",
    "input_audio": "audio",
    "video": "video",
    "video_url": "video",
    "input_video": "video",
    "file": "file",
    "input_file": "file",
    "document": "file",
    "container_upload": "file",
}
"""`type` of a content part that is not text, and which kind of media it is."""

VECTOR_TYPES = frozenset({"image_embeds", "audio_embeds"})
"""`type` of a content part that is a prompt as vectors."""

MEDIA_KEYS: dict[str, str] = {
    "image_url": "image",
    "image": "image",
    "input_audio": "audio",
    "audio_url": "audio",
    "audio": "audio",
    "video_url": "video",
    "video": "video",
    "file": "file",
    "b64": "file",
}
"""vLLM infers the type of a part without `type` from these keys. `b64` is TensorFlow Serving's."""

MEDIA_PLACES = (*PROMPTS, "instances", "data_1", "data_2", "text_1", "text_2")
"""Where such parts may stand outside of messages (embeddings, rerank, score, Responses, predict)."""

PAYLOAD_KEYS = frozenset(
    {
        "data", "b64", "url", "image_url", "image", "audio_url", "audio", "video_url", "video", "file_data", "file_url",
        "file",
    }
)  # fmt: skip
"""Where the bytes of a part that is media stand, as a data URL or in base64."""

TEXT_TYPES = frozenset(
    {
        "text", "input_text", "output_text", "refusal", "thinking", "reasoning", "reasoning_text", "summary_text",
    }
)  # fmt: skip
"""`type` of a chat content part that is text. Others are refused."""

DROPPED: dict[str, str] = {
    "logprobs": "token texts and bytes",
    "top_logprobs": "token texts and bytes",
    "prompt_logprobs": "the prompt by token",
    "completion_probabilities": "llama.cpp: token texts",
    "token_ids": "the answer as numbers",
    "output_token_ids": "the answer as numbers",
    "output_ids": "SGLang: the answer as numbers",
    "prompt_token_ids": "the prompt as numbers",
    "top_tokens": "TGI: alternative tokens",
    "prefill": "TGI: the prompt by token",
    "best_of_sequences": "TGI: other answers, by token",
    "routed_experts": "vLLM: a fingerprint of the tokens",
    "hidden_states": "SGLang: the text as vectors",
    "audio": "the answer as sound",
    "context": "Ollama: the conversation as token ids",
    "tokens": "llama.cpp and TGI: the answer by token",
}
"""Removed from responses when they come back all the same, unless they are null, a number, a flag or plain text."""

ENVELOPE = ("id", "object", "created", "model", "system_fingerprint")
"""Top level of an OpenAI answer: the server's own short scalars. Not masked, so that ids stay ids."""

STRUCTURAL = frozenset(
    {
        "id", "object", "created", "created_at", "model", "system_fingerprint", "service_tier", "role", "type", "index",
        "finish_reason", "stop_reason", "done_reason", "status", "event", "name", "item_id", "response_id", "call_id",
        "tool_call_id", "tool_use_id", "previous_response_id", "model_name", "model_version", "format", "encoding",
        "obfuscation", "signature", "digest", "stop_sequence", "provider", "created_time", "completed_at",
    }
)  # fmt: skip
"""Strings that stand whole in one event. Each is masked alone; other strings of a stream continue one another."""

DROPPED_TEXT = frozenset({"prompt_text", "b64_json", "partial_image_b64"})
"""Likewise where they are strings: vLLM's rendered prompt, OpenAI's generated images."""

PICTURES = frozenset({"image", "images", "image_url", "url", "result"})
"""Removed from answers where they are data URLs or long texts of base64: generated images."""

PIECES = frozenset({"words", "segments"})
"""A transcription again, cut at moments: removed from answers like `DROPPED` when its pieces have a `start`."""

SEQUENCE = "sequence_number"
CLOCK = "created_at"
"""They differ in each event: a small whole number and a timestamp (RFC 3339) there are not looked at."""

DELTAS = frozenset(
    {
        "content", "text", "delta", "response", "thinking", "reasoning", "reasoning_content", "refusal", "arguments",
        "partial_json", "generated_text", "text_output", "input", "code", "transcript",
    }
)  # fmt: skip
"""Strings of a stream that are known to continue one another. Others may, and are looked at alone as well."""

TOOL_INPUT = "arguments"
"""An object there is a tool's parameters, with names of their own: nothing is removed from it (nor from the `input` of
Anthropic's `tool_use`)."""

WHOLE = frozenset({"annotation", "annotations", "citation", "citations", "arguments", "input"})
"""Objects and arrays that a stream says once, each complete in itself: what stands in them continues nothing."""

JSON_TEXT = frozenset({"arguments", "partial_json"})
"""Strings that are themselves JSON, and that clients parse."""

ADAPTERS: dict[str, str] = {
    "lora_path": "SGLang",
    "adapter_id": "TGI and LoRAX",
    "lora": "llama.cpp: numbers of adapters, which say no name",
}
"""Fields that have an adapter answer in the model's place, at the top level and in `NESTED`."""

LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_tokens_to_sample")
"""How many tokens an answer may have at most, in one API or another."""

OPEN_LIMITS = ("n_predict", "num_predict")
"""Likewise, in llama.cpp and Ollama; a negative number there means "no limit"."""
