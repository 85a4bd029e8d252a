"""Checks the addresses of ALERT_URLS before anything starts; no message contains an address."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from shared.webhook_signing import SCHEMES

# The schemes of apprise, which only the watchdog has installed; a test compares them.
APPRISE_SCHEMES = frozenset(
    """
    46elks amqp amqps apprise apprises aprs atalk azure bark barks betterstack blink1 bluesky brevo bsky
    bulksms bulkvs burstsms chanify clickatell clicksend cliq cm d7sms dapnet dbus deltachat deltachats
    dingtalk discord dot eight00com elks emby embys enigma2 enigma2s evolution evolutions exotel fcm feishu
    firehydrant flock flowtriq flowtriqs fluxer fluxers form forms freemobile gchat gio github glib gnome
    goalert goalerts gorush gorushs gotify gotifys groundmail groupme growl guilded gupshup hassio hassios
    httpsms humhub humhubs ifttt ilert incidentio infobip irc ircs jellyfin jellyfins jira join json jsons
    kakao kakaotalk kaleyra kavenegar kde klr kodi kodis kook kudosity kumulos lametric lametrics lark lauther
    lfg line macosx mailersend mailgun mailto mailtos mastodon mastodons matrix matrixs misskey misskeys mmost
    mmosts mobilemessage mobilemsg mqtt mqtts msg91 msgbird ncloud nclouds nctalk nctalks nexmo nostr notica
    noticas notifiarr notifico notificos notifyre ntfy ntfys o365 octopush onebot onebots onesignal opsgenie
    pagerduty pagertree parsep parseps pbul pinglet pinglets pingram pjet pjets plivo postmark pover prowl
    psafer psafers push pushdeer pushdeers pushed pushme pushplus pushward pushy qq qt reddit resend revolt
    ringc rocket rockets rsyslog ryver schan sendgrid sendpulse serwersms ses session sessions seven sfr
    signal signalgrid signals signl4 simplepush sinch slack smpp smpps smsc smseagle smseagles smsmanager
    smsmgr smstunnel smtp2go sns sogs sparkpost spike splunk spugpush spush squadcast stackfield strmlabs
    synology synologys syslog telesign telnyx tgram threema toot toots trigv trigvs tweet twilio twist twitter
    vapid viber victorops voipms vonage webex wechat wecom wecombot whapi whatsapp windows workflow workflows
    wpush wxpusher wxteams x xbmc xbmcs xmatters xml xmls xmpp xmpps youlmk zalo zcliq zohocliq zoom zulip
    """.split()  # noqa: SIM905
)
# Several instances in one address: alertmanager://user:password@host:9093,host2:9093/prefix
ALERTMANAGER_SCHEMES = {"alertmanager": "http", "alertmanagers": "https"}
_SCHEME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+.-]{0,19}")
_HOST = re.compile(r"[A-Za-z0-9._-]+")
_FURTHER_INSTANCE = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d+)?(?:/[^\s,]*)?")


def entries(raw: str) -> list[str]:
    """The entries of a list: separated by one comma, white space, or both; an empty one is "".

    Text without any entry gives an empty list. Hosts that follow an address of Alertmanager belong
    to it.
    """
    found: list[str] = []
    for part in re.split(r"\s*,\s*|\s+", raw.strip()) if raw.strip() else []:
        if found and is_alertmanager(found[-1]) and _FURTHER_INSTANCE.fullmatch(part):
            found[-1] += f",{part}"
        else:
            found.append(part)
    return found


def is_alertmanager(address: str) -> bool:
    return address.partition("://")[0].lower() in ALERTMANAGER_SCHEMES


def alertmanagers(address: str) -> tuple[tuple[str, ...], str, str]:
    """The base addresses of the instances in ``address``, user and password ("" without).

    The user and the path are the same for all of them. Raises ``ValueError`` when no program could
    call one.
    """
    scheme, _, rest = address.partition("://")
    hosts, _, path = rest.partition("/")
    credentials, _, hosts = hosts.rpartition("@")
    user, colon, password = credentials.partition(":")
    if bool(credentials) != bool(colon and user) or "?" in rest or "#" in rest:
        raise ValueError("no user and password, or a query")
    prefix = f"/{path.strip('/')}" if path.strip("/") else ""
    bases = tuple(f"{ALERTMANAGER_SCHEMES[scheme.lower()]}://{host}{prefix}" for host in hosts.split(","))
    for base in bases:
        host_of(base)
    if len(set(bases)) != len(bases):
        raise ValueError("an instance twice")
    return bases, unquote(user), unquote(password)


def host_of(address: str) -> str:
    """The host of ``address``. Raises ``ValueError`` when no program could call it."""
    if any(ord(letter) <= 32 or ord(letter) == 127 for letter in address):
        raise ValueError("white space or control characters")
    parts = urlsplit(address)
    host = parts.hostname or ""
    _ = parts.port  # raises ValueError when it is not a port
    if ":" in host:
        ipaddress.IPv6Address(host.partition("%")[0])
        return host
    plain = host.encode("idna")
    plain.decode("idna")
    if not _HOST.fullmatch(plain.decode()):
        raise ValueError("no host")
    return host


def problem(raw: str) -> str | None:
    """What is wrong with the first wrong entry of a list, by position and scheme, or None.

    Of an address for apprise only the scheme is checked: the watchdog asks apprise for the rest.
    """
    for number, entry in enumerate(entries(raw), 1):
        found = _problem(entry)
        if found is not None:
            scheme = entry.partition("://")[0] if "://" in entry else ""
            shown = f" ({scheme.lower()}://)" if _SCHEME.fullmatch(scheme) else ""
            return f"entry {number}{shown} {found}"
    return None


def _problem(entry: str) -> str | None:
    scheme, mark, rest = entry.partition("://")
    if not entry:
        return "is empty: a comma stands before or after it"
    if not mark or not _SCHEME.fullmatch(scheme):
        return "has no scheme: inside an address write a comma as %2C and a space as %20"
    scheme = scheme.lower()
    if scheme in ALERTMANAGER_SCHEMES:
        try:
            alertmanagers(entry)
        except ValueError:
            return "has no valid hosts: write scheme://[user:password@]host:port[,host:port][/path]"
        return None
    if scheme not in SCHEMES:
        if scheme not in APPRISE_SCHEMES:
            return "has an unknown scheme"
        if not rest.strip("/"):
            return "has nothing after the scheme"
        return None
    try:
        host_of(entry)
    except ValueError:
        return "has no valid host or port"
    return None
