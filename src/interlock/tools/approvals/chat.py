"""A confirmation in the chat: the question, and how to read the next message of the person served."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..canonical import JsonObject
from ..errors import ContractError

Reader = Callable[[str], bool | None]
"""Reads a message: True for yes, False for no, None for anything else."""
_LONGEST = 80
_WORDS = re.compile(r"[^\W_]+(?:[’'][^\W_]+)*")
_ELSE = re.compile(r"[^\s.,!;:…’'\w-]|_")
"""Characters that a plain yes or no never has: a question mark, a quotation, an address, a symbol."""

_YES = (
    "yes", "yeah", "yep", "yup", "sure", "ok", "okay", "confirm", "confirmed", "i confirm", "go ahead", "proceed", "do it", "please do", "agreed",
    "oui", "d'accord", "je confirme", "confirmé", "allez y", "vas y", "ja", "jawohl", "genau", "einverstanden", "ich bestätige", "bestätigt", "gerne",
    "sí", "si", "claro", "confirmo", "de acuerdo", "adelante", "vale", "sì", "certo", "confermo", "va bene", "sim", "claro que sim", "akkoord",
    "ik bevestig", "tak", "potwierdzam", "zgoda", "jag bekräftar", "kyllä", "да", "подтверждаю", "так", "підтверджую", "evet", "onaylıyorum",
    "はい", "是", "是的", "好", "好的", "确认", "네", "예", "نعم", "हाँ",
)  # fmt: skip
_NO = (
    "no", "nope", "nah", "don't", "do not", "don't do it", "do not do it", "don't proceed", "do not proceed", "leave it", "stop", "cancel that",
    "never mind", "forget it", "not now", "non", "surtout pas", "laissez", "laisse tomber", "nein", "lieber nicht", "lass es", "lassen sie es", "abbrechen",
    "no lo haga", "no lo hagas", "déjalo", "déjelo", "lascia stare", "lasci stare", "não", "deixa", "nee", "niet doen", "laat maar", "nie", "nej", "ei",
    "нет", "не надо", "ні", "hayır", "いいえ", "不", "不要", "不是", "아니요", "아니오", "لا", "नहीं",
)  # fmt: skip
_POLITE = (
    "please", "thanks", "thank you", "thank you very much", "s'il vous plaît", "s'il te plaît", "merci", "bitte", "danke", "por favor", "gracias",
    "per favore", "grazie", "por favor", "obrigado", "obrigada", "alstublieft", "dank u", "dank je", "proszę", "dziękuję", "tack", "tak skal du have",
    "пожалуйста", "спасибо", "будь ласка", "дякую", "lütfen", "teşekkürler", "お願いします", "请", "谢谢", "감사합니다",
)  # fmt: skip


def _plain(text: str) -> tuple[str, ...]:
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return tuple(_WORDS.findall(folded.replace("-", " ")))


_PHRASES: dict[tuple[str, ...], str] = {
    **{_plain(one): "polite" for one in _POLITE},
    **{_plain(one): "yes" for one in _YES},
    **{_plain(one): "no" for one in _NO},
}
_MOST_WORDS = max(map(len, _PHRASES))


def read_answer(text: str) -> bool | None:
    """Read a plain yes or no in several languages, with or without a please or a thank-you.

    Anything else in the message makes the result None: another word, a question mark, a quotation, a yes together with a no.

    Args:
        text: The message as the person wrote it.

    Returns:
        True for a yes, False for a no, None for anything else.
    """
    if len(text) > _LONGEST or "\n" in text.strip() or _ELSE.search(unicodedata.normalize("NFKC", text)):
        return None
    words, found = _plain(text), set[str]()
    while words:
        size = next((size for size in range(min(_MOST_WORDS, len(words)), 0, -1) if words[:size] in _PHRASES), None)
        if size is None:
            return None
        found.add(_PHRASES[words[:size]])
        words = words[size:]
    said = found - {"polite"}
    return None if len(said) != 1 else said == {"yes"}


@dataclass(frozen=True)
class Chat:
    """Ask for a confirmation in the conversation: the next message of the person served is read as the answer.

    Attributes:
        otherwise: What happens to the request if the message is neither yes nor no: `"respond"` closes it and passes the message to the
            model as the answer, `"withdraw"` closes it as withdrawn. Either way the model sees the message and may propose again.
        together: Whether one answer may settle several open requests. If False and several are open, a yes settles none of them.
        reader: Reads the message, and returns True for a yes, False for a no, None otherwise. The default reads plain answers in several
            languages.
        says: Builds the question from what is shown, a mapping such as `{"tool": ..., "arguments": ..., "preview": ...}`.
    """

    otherwise: Literal["respond", "withdraw"] = "respond"
    together: bool = False
    reader: Reader = read_answer
    says: Callable[[Mapping[str, Any]], str] | None = None

    def __post_init__(self) -> None:
        if self.otherwise not in {"respond", "withdraw"}:
            raise ContractError(f"Chat(otherwise={self.otherwise!r}): give 'respond' or 'withdraw'.")
        if not callable(self.reader):
            raise ContractError(f"Chat(reader={self.reader!r}): give a function of the message's text.")

    def to_json(self) -> JsonObject:
        """Return what is stored with a request. The functions are not stored; they are in the workflow."""
        return {"otherwise": self.otherwise, "together": self.together}

    @classmethod
    def from_json(cls, data: Any) -> "Chat | None":
        """Parse what `to_json` returned."""
        return None if data is None else cls(data["otherwise"], data["together"])


__all__ = ["Chat", "Reader", "read_answer"]
