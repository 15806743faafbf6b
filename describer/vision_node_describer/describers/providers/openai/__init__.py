"""The `openai` describer, which uses a model at OpenAI or any server that supports its protocol."""
