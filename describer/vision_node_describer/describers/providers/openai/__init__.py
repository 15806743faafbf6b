"""The describer `openai`: a model at OpenAI or at any server that supports its protocol."""
