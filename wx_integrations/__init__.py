"""IBM watsonx.ai for LangChain and LlamaIndex, over a small REST core."""

__version__ = "0.1.0"
