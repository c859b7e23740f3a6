"""The contenders, in the order of the tables."""

from benchmarks.contenders.contender import Contender
from benchmarks.contenders.floors import LangChainFloor, LangChainOverHttpx, LlamaIndexFloor, LlamaIndexOverHttpx
from benchmarks.contenders.ibm import IbmLangChain, IbmLlamaIndex, IbmSdk
from benchmarks.contenders.others import LiteLlm, OpenAiLangChain
from benchmarks.contenders.ours import OursCore, OursLangChain, OursLlamaIndex
from benchmarks.contenders.raw import RawHttpx

CONTENDERS: dict[str, type[Contender]] = {
    contender.name: contender
    for contender in (
        RawHttpx,
        LangChainFloor,
        LlamaIndexFloor,
        LangChainOverHttpx,
        LlamaIndexOverHttpx,
        OursCore,
        OursLangChain,
        OursLlamaIndex,
        IbmSdk,
        IbmLangChain,
        IbmLlamaIndex,
        OpenAiLangChain,
        LiteLlm,
    )
}
