"""``waha-python``."""

# mypy: ignore-errors

from steps import CHAT, CONFIG, KEY, PNG, URL, said, simulate, until
from waha_python import WAHAClient

client = WAHAClient(f"{URL}/waha", KEY, timeout=60)


def status() -> str:
    return str(client.sessions.get("default")["status"])


def file(mimetype: str, filename: str) -> dict[str, str]:
    return {"mimetype": mimetype, "filename": filename, "data": PNG}


client.sessions.create("default", CONFIG)
until(status, "SCAN_QR_CODE")
qr = client.sessions.get_qr("default", accept_json=True)["data"]
simulate(action="scan")
until(status, "WORKING")
sent = [
    client.messages.send_text("default", CHAT, "hello"),
    client.messages.send_image("default", CHAT, file("image/png", "a.png"), "see"),
    client.messages.send_voice("default", CHAT, file("audio/ogg; codecs=opus", "a.ogg")),
    client.messages.send_location("default", CHAT, 52.5, 13.4, "Office"),
    client.messages.send_contact("default", CHAT, [{"fullName": "Ann", "phoneNumber": "+33 6 12 34 56 79"}]),
]
simulate(action="message", **{"from": "33612345678"}, text="answer", id="IN1")
until(lambda: len(client.chats.get_messages("default", CHAT, limit=50)), 6)
client.messages.add_reaction("default", f"false_{CHAT}_IN1", "👍")
client.messages.send_seen("default", CHAT, [f"false_{CHAT}_IN1"])
history = client.chats.get_messages("default", CHAT, limit=50)
client.sessions.restart("default")
until(status, "WORKING")
me = client.sessions.get("default")["me"]["id"]
client.sessions.logout("default")
said(qr=qr, sent=sent, history=history, me=me, end=status())
