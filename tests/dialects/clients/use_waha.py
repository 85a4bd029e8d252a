"""``waha``. It drops the path of its base URL, so it uses WAHA_PORT."""

# mypy: ignore-errors

import base64
import os

from steps import CHAT, CONFIG, KEY, PNG, said, simulate, until
from waha import WahaClient
from waha.types import Base64File, ContactVcard, QRFormat

client = WahaClient(os.environ["WAHA_URL"], KEY, timeout=60)


def status() -> str:
    return str(client.sessions.get("default").status)


def file(mimetype: str, filename: str) -> Base64File:
    return Base64File(mimetype=mimetype, filename=filename, data=PNG)


client.sessions.create("default", CONFIG)
until(status, "SCAN_QR_CODE")
qr = base64.b64encode(client.auth.get_qr_code("default", QRFormat.RAW).qr.encode()).decode()
simulate(action="scan")
until(status, "WORKING")
sent = [
    {"id": client.messages.send_text(CHAT, "hello").id},
    client.messages.send_image(CHAT, file("image/png", "a.png"), caption="see"),
    client.messages.send_voice(CHAT, file("audio/ogg; codecs=opus", "a.ogg")),
    client.messages.send_location(CHAT, 52.5, 13.4, title="Office"),
    client.messages.send_contact_vcard(CHAT, [ContactVcard(fullName="Ann", phoneNumber="+33 6 12 34 56 79")]),
]
simulate(action="message", **{"from": "33612345678"}, text="answer", id="IN1")


def history() -> list[dict[str, object]]:
    return [message.model_dump() for message in client.chats.get_messages(CHAT, limit=50)]


until(lambda: len(history()), 6)
client.messages.react(f"false_{CHAT}_IN1", "👍")
client.messages.send_seen(CHAT)
seen = [{"id": str(message["id"]), "body": message["body"]} for message in history()]
client.sessions.restart("default")
until(status, "WORKING")
me = client.sessions.get_me("default").id
client.sessions.logout("default")
said(qr=qr, sent=sent, history=seen, me=me, end=status())
