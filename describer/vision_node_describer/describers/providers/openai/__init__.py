"""The describer `openai`: a model of OpenAI, or of any server that speaks its protocol."""
