"""The emulator's utility agent tools: they really run, on this machine.

PythonInterpreter runs code in a process of its own, WebCrawler fetches pages
(extra `local`), GoogleSearch, Wikipedia and Weather know a small bundled
corpus, RAGQuery searches the vector indexes that were built for it.
"""
