"""The routes of contacts, profile, presence, calls, blocks and addresses, described."""

from __future__ import annotations

from bot_service.access.principals import Scope
from bot_service.api.people import handlers
from bot_service.api.people.handlers import AddressesView, BlocklistView, ContactPage, PictureView
from bot_service.api.server.route import LIMIT, TEXT, Parameter, Response, Route
from bot_service.domain.people import PersonDetails, Profile
from bot_service.messages.people import ChangePresence, ChangeProfile, FollowPresence, NewPicture, RejectCall

ONE = "/api/sessions/{id}"
_ASKED = (409, 502, 504)
_JPEG = "/9j/4AAQSkZJRgABAQAAAQABAAD/2Q=="

ROUTES = [
    Route(
        "GET", f"{ONE}/contacts", handlers.contacts, Scope.READ,
        "Contacts", "List contacts",
        "What the phone shared and who wrote, by address. WhatsApp is not asked.",
        {200: Response("A page of contacts.", ContactPage)},
        parameters=(
            Parameter("search", "Only with this in a name or the address.", TEXT),
            Parameter("after", "The `next` of the page before.", TEXT),
            LIMIT,
        ),
        problems=_ASKED,
    ),
    Route(
        "GET", f"{ONE}/contacts/{{contactId}}", handlers.contact, Scope.SEND,
        "Contacts", "Get a contact",
        "Names, the text of the profile and the id of the picture, as far as the account may see them; also of a number "
        "that is no contact.",
        {200: Response("The contact.", PersonDetails)}, problems=_ASKED,
    ),
    Route(
        "GET", f"{ONE}/lids/{{contactId}}", handlers.addresses, Scope.SEND,
        "Contacts", "Find number and LID of a person",
        "WhatsApp names people by number or by a hidden address, the LID. A number is looked up at WhatsApp when its LID is "
        "not known yet; the number of a LID is known only after a message with both.",
        {200: Response("Both addresses.", AddressesView, example={"jid": "33612345678@s.whatsapp.net", "lid": "84123456789012@lid"})},
        problems=_ASKED,
    ),
    Route(
        "GET", f"{ONE}/blocklist", handlers.blocklist, Scope.READ,
        "Contacts", "List blocked contacts", "Asked from WhatsApp.",
        {200: Response("Their addresses.", BlocklistView)}, problems=_ASKED,
    ),
    Route(
        "PUT", f"{ONE}/blocklist/{{contactId}}", handlers.block, Scope.SEND,
        "Contacts", "Block a contact", "Their messages and calls do not arrive any more.",
        {200: Response("All blocked addresses.", BlocklistView)}, problems=_ASKED,
    ),
    Route(
        "DELETE", f"{ONE}/blocklist/{{contactId}}", handlers.unblock, Scope.SEND,
        "Contacts", "Unblock a contact", "Nothing happens when it is not blocked.",
        {200: Response("All blocked addresses.", BlocklistView)}, problems=_ASKED,
    ),
    Route(
        "GET", f"{ONE}/profile", handlers.profile, Scope.READ,
        "Profile", "Get the own profile", "The picture itself is at `/picture?chat=` with the own number.",
        {200: Response("The profile.", Profile)}, problems=_ASKED,
    ),
    Route(
        "PATCH", f"{ONE}/profile", handlers.change_profile, Scope.SESSION,
        "Profile", "Change the own profile",
        "The name needs keys that the phone shares some time after the pairing; until then 409 `refused_by_whatsapp`.",
        {200: Response("The profile.", Profile)}, body=ChangeProfile, problems=_ASKED,
        example={"name": "Boutique", "about": "Open from 9 to 18"},
    ),
    Route(
        "PUT", f"{ONE}/profile/picture", handlers.set_picture, Scope.SESSION,
        "Profile", "Set the own picture", "A JPEG of at most 1 MB.",
        {200: Response("The id of the picture.", PictureView)}, body=NewPicture, problems=_ASKED,
        example={"data": _JPEG},
    ),
    Route(
        "PUT", f"{ONE}/presence", handlers.set_presence, Scope.SEND,
        "Profile", "Go online or offline",
        "Contacts see the account as online, and WhatsApp reports their presence, only while it is `available`. The account "
        "needs a name in its profile.",
        {204: Response("Done.")}, body=ChangePresence, problems=_ASKED, example={"state": "available"},
    ),
    Route(
        "POST", f"{ONE}/presence/follow", handlers.follow_presence, Scope.SEND,
        "Profile", "Follow the presence of a person",
        "`presence.update` events of this person come until the connection of the session ends.",
        {204: Response("Done.")}, body=FollowPresence, problems=_ASKED, example={"chat": "33612345678"},
    ),
    Route(
        "POST", f"{ONE}/calls/{{callId}}/reject", handlers.reject_call, Scope.SEND,
        "Calls", "Reject a call", "With `id` and `from` of its `call.received` event. An unknown or ended call is no error.",
        {204: Response("Done.")}, body=RejectCall, problems=_ASKED, example={"from": "33612345678"},
    ),
    Route(
        "PUT", f"{ONE}/messages/{{messageId}}/star", handlers.star, Scope.SEND,
        "Messages", "Star a message", "On all devices of the account. Only the simulator can; the real engine refuses with `unsupported_by_engine`.",
        {204: Response("Done.")}, problems=_ASKED,
    ),
    Route(
        "DELETE", f"{ONE}/messages/{{messageId}}/star", handlers.unstar, Scope.SEND,
        "Messages", "Unstar a message", "Nothing happens when it has no star.",
        {204: Response("Done.")}, problems=_ASKED,
    ),
]  # fmt: skip
