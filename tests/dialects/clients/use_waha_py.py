"""``waha-py``, made from WAHA's specification."""

# mypy: ignore-errors

from steps import CHAT, CONFIG, KEY, PNG, URL, said, simulate, until
from waha import WahaClient

client = WahaClient(f"{URL}/waha", KEY)


def status() -> str:
    return str(client.sessions.get("default")["status"])


def chat(**parts: object) -> dict[str, object]:
    return {"session": "default", "chatId": CHAT, **parts}


def file(mimetype: str, filename: str) -> dict[str, str]:
    return {"mimetype": mimetype, "filename": filename, "data": PNG}


client.sessions.create({"name": "default", "config": CONFIG})
until(status, "SCAN_QR_CODE")
qr = client.auth.get_qr("default")["data"]
simulate(action="scan")
until(status, "WORKING")
sent = [
    client.chatting.send_text(chat(text="hello")),
    client.chatting.send_image(chat(file=file("image/png", "a.png"), caption="see")),
    client.chatting.send_voice(chat(file=file("audio/ogg; codecs=opus", "a.ogg"), convert=False)),
    client.chatting.send_location(chat(latitude=52.5, longitude=13.4, title="Office")),
    client.chatting.send_contact_vcard(chat(contacts=[{"fullName": "Ann", "phoneNumber": "+33 6 12 34 56 79"}])),
]
simulate(action="message", **{"from": "33612345678"}, text="answer", id="IN1")
until(lambda: len(client.chats.get_chat_messages("default", CHAT, {"limit": 50})), 6)
client.chatting.set_reaction({"session": "default", "messageId": f"false_{CHAT}_IN1", "reaction": "👍"})
client.chatting.send_seen(chat(messageIds=[f"false_{CHAT}_IN1"]))
history = client.chats.get_chat_messages("default", CHAT, {"limit": 50})
client.sessions.restart("default")
until(status, "WORKING")
me = client.sessions.get_me("default")["id"]
client.sessions.logout("default", {})
said(qr=qr, sent=sent, history=history, me=me, end=status())
