"""The dashboard in French; a test holds it against every text of the templates and of the wording."""

from __future__ import annotations

from collections.abc import Mapping

from bot_service.dashboard.french_integration import INTEGRATION

FRENCH: Mapping[str, str] = {
    **INTEGRATION,
    # Navigation
    "Sessions": "Sessions",
    "Deliveries": "Livraisons",
    "Live": "En direct",
    "Log out": "Se déconnecter",
    "Signed in as {name}": "Connecté : {name}",
    "administrator": "administrateur",
    "Pages": "Pages",
    "Previous": "Précédent",
    "Next": "Suivant",
    "This did not work": "Cela n’a pas marché",
    # Signing in
    "Sign in": "Connexion",
    "API key": "Clé d’API",
    "The administrator’s key is in BOT_API_KEY, or was made at the first start.": (
        "La clé de l’administrateur est dans BOT_API_KEY, ou a été créée au premier démarrage."
    ),
    "No key at hand? On the machine, this prints a link that signs in once:": (
        "Pas de clé sous la main ? Sur la machine, ceci affiche un lien valable une fois :"
    ),
    "This link signs you in once.": "Ce lien vous connecte une seule fois.",
    "Open the dashboard": "Ouvrir le tableau de bord",
    "This link was used already or is too old. Ask for a new one, or sign in with a key.": (
        "Ce lien a déjà servi ou est trop ancien. Demandez-en un autre, ou connectez-vous avec une clé."
    ),
    "This key is not known.": "Cette clé est inconnue.",
    # List
    "No session yet": "Aucune session pour l’instant",
    "A session is one WhatsApp account linked to this service.": "Une session est un compte WhatsApp lié à ce service.",
    "{n} session, ready": "{n} session, prête",
    "All {n} sessions are ready": "Les {n} sessions sont prêtes",
    "{n} of {total} sessions is ready": "{n} session prête sur {total}",
    "{n} of {total} sessions are ready": "{n} sessions prêtes sur {total}",
    "New session": "Nouvelle session",
    "All sessions": "Toutes les sessions",
    "Search by name or id": "Chercher par nom ou identifiant",
    "Name or id": "Nom ou identifiant",
    "Search": "Chercher",
    "State": "État",
    "Every state": "Tous les états",
    "Session": "Session",
    "not linked": "non liée",
    "Last frame": "Dernière trame",
    "Owner": "Propriétaire",
    "Commands": "Commandes",
    "Start": "Démarrer",
    "Stop": "Arrêter",
    "Restart": "Redémarrer",
    "{first} to {last} of {total}": "{first} à {last} sur {total}",
    "No session matches.": "Aucune session ne correspond.",
    "Show all": "Tout afficher",
    "There are no sessions yet.": "Il n’y a pas encore de session.",
    "Create the first one": "Créer la première",
    # Watchdog
    "Watchdog": "Veilleur",
    "No watchdog has reported yet": "Aucun veilleur ne s’est encore annoncé",
    "Start it, with the same WATCHDOG_TOKEN.": "Démarrez-le, avec le même WATCHDOG_TOKEN.",
    "The watchdog is silent": "Le veilleur se tait",
    "Its last report came {when}.": "Son dernier rapport date du {when}.",
    "The watchdog is switched off": "Le veilleur est désactivé",
    "The watchdog sees this service": "Le veilleur voit ce service",
    "Watched; too many sessions are not ready": "Surveillé ; trop de sessions ne sont pas prêtes",
    "The watchdog doubts this service": "Le veilleur doute de ce service",
    "Watched; up and down too often of late": "Surveillé ; trop de coupures ces derniers temps",
    "The watchdog could not reach this service": "Le veilleur n’a pas pu joindre ce service",
    "The watchdog cannot see: the fault is its own": "Le veilleur est aveugle : la faute vient de lui",
    "Maintenance: no alert is sent": "Maintenance : aucune alerte n’est envoyée",
    "The watchdog has not decided yet": "Le veilleur n’a pas encore tranché",
    "one ping every {span}": "un ping toutes les {span}",
    "last ping {span}": "dernier ping {span}",
    "last ping unanswered": "dernier ping sans réponse",
    "unanswered": "sans réponse",
    "Last {n} pings, {failed} unanswered": "{n} derniers pings, {failed} sans réponse",
    "24 hours": "24 heures",
    "7 days": "7 jours",
    "30 days": "30 jours",
    "Answered": "Réponses",
    # Client version
    "WhatsApp client version {version}, {age}": "Version du client WhatsApp {version}, {age}",
    "less than a day old": "de moins d’un jour",
    "{n} day old": "vieille de {n} jour",
    "{n} days old": "vieille de {n} jours",
    "follows the published version": "suit la version publiée",
    "the engine’s own": "celle du moteur",
    "set by hand": "choisie à la main",
    "WhatsApp refuses client version {version}: all logins wait until another one is accepted": (
        "WhatsApp refuse la version {version} du client : toutes les connexions attendent qu’une autre soit acceptée"
    ),
    "WhatsApp refuses this client version: all logins wait until another one is accepted": (
        "WhatsApp refuse cette version du client : toutes les connexions attendent qu’une autre soit acceptée"
    ),
    "Only the engine’s own version can be announced: {why}": "Seule la version du moteur peut être annoncée : {why}",
    "its native library is not there, or is there twice": "sa bibliothèque native est absente ou présente deux fois",
    "its native library does not hold the version where it is expected": (
        "sa bibliothèque native ne contient pas la version à l’endroit attendu"
    ),
    "no copy of its library can be written to DATA_DIR/engine": (
        "aucune copie de sa bibliothèque ne peut être écrite dans DATA_DIR/engine"
    ),
    "an engine worker could not load its copy of the library": (
        "un processus du moteur n’a pas pu charger sa copie de la bibliothèque"
    ),
    "DATA_DIR has no room for a copy of its library": "DATA_DIR n’a plus de place pour une copie de sa bibliothèque",
    "DATA_DIR is mounted with noexec, and a copy of its library is a program": (
        "DATA_DIR est monté avec noexec, et une copie de sa bibliothèque est un programme"
    ),
    "a copy of its library was damaged right after it was written": (
        "une copie de sa bibliothèque s’est abîmée juste après son écriture"
    ),
    # A new session
    "One session is one WhatsApp account, linked like WhatsApp Web.": (
        "Une session est un compte WhatsApp, lié comme WhatsApp Web."
    ),
    "Name": "Nom",
    "More": "Plus",
    "Id": "Identifiant",
    "Letters, digits, dash and underscore; made when left empty.": (
        "Lettres, chiffres, tiret et souligné ; créé si le champ reste vide."
    ),
    "Create and show the QR code": "Créer et afficher le code QR",
    "Cancel": "Annuler",
    # One session
    "In this state since": "Dans cet état depuis",
    "Last message in": "Dernier message reçu",
    "Next try": "Prochain essai",
    "Account": "Compte",
    "Link a phone": "Lier un téléphone",
    "QR code to scan with WhatsApp": "Code QR à scanner avec WhatsApp",
    "Renews itself. It goes away when the phone has scanned it.": (
        "Se renouvelle seul. Il disparaît quand le téléphone l’a scanné."
    ),
    "The QR code comes in a moment.": "Le code QR arrive dans un instant.",
    "Open WhatsApp on the phone.": "Ouvrez WhatsApp sur le téléphone.",
    "Settings, Linked devices, Link a device.": "Paramètres, Appareils connectés, Connecter un appareil.",
    "Hold the phone’s camera to this code.": "Visez ce code avec l’appareil photo.",
    "Or type this code on the phone:": "Ou tapez ce code sur le téléphone :",
    "Without a camera: a code to type": "Sans appareil photo : un code à taper",
    "Get a code": "Obtenir un code",
    "Send a test message": "Envoyer un message d’essai",
    "To": "À",
    "Text": "Texte",
    "Send": "Envoyer",
    "Latest messages": "Derniers messages",
    "No message yet.": "Aucun message pour l’instant.",
    "History": "Historique",
    "Log out or delete": "Délier ou supprimer",
    "Log out unlinks the phone and keeps the session and its messages.": (
        "Délier détache le téléphone et garde la session et ses messages."
    ),
    "Log out the phone": "Délier le téléphone",
    "Delete removes the session, its pairing and its messages. There is no way back.": (
        "Supprimer efface la session, son lien et ses messages. Il n’y a pas de retour."
    ),
    "Delete {name}": "Supprimer {name}",
    "until {when}": "jusqu’au {when}",
    # Messages
    "queued": "en attente",
    "sent": "envoyé",
    "delivered": "remis",
    "read": "lu",
    "failed": "échoué",
    "received": "reçu",
    "handled": "traité",
    "from {name}": "de {name}",
    "to {name}": "à {name}",
    # Deliveries
    "Events on their way to webhooks. What a receiver refused for too long becomes a dead letter and can be sent again.": (
        "Événements en route vers les webhooks. Ce qu’un destinataire refuse trop longtemps devient une lettre morte "
        "et peut être renvoyé."
    ),
    "Dead letters": "Lettres mortes",
    "On their way": "En route",
    "Delivered": "Remises",
    "Event": "Événement",
    "Tries": "Essais",
    "Result": "Résultat",
    "Send again": "Renvoyer",
    "Send all dead letters again": "Renvoyer toutes les lettres mortes",
    "There is nothing here.": "Il n’y a rien ici.",
    "waiting": "en attente",
    "dead": "morte",
    "no answer": "pas de réponse",
    "answered {status}": "a répondu {status}",
    # Live
    "What happens, as it happens: states, messages and their marks. Texts and codes are not shown here.": (
        "Ce qui arrive, au moment où cela arrive : états, messages et accusés. Textes et codes ne sont pas montrés ici."
    ),
    "Connecting …": "Connexion …",
    "Connected": "Connecté",
    "Connection lost; trying again": "Connexion perdue ; nouvel essai",
    "This page needs script. The same events are at GET /api/events.": (
        "Cette page a besoin de script. Les mêmes événements sont à GET /api/events."
    ),
    "Events": "Événements",
    "Nothing has happened yet.": "Rien ne s’est encore passé.",
    # States
    "Ready": "Prête",
    "Degraded": "Dégradée",
    "Reconnecting": "Reconnexion",
    "Starting": "Démarrage",
    "Waiting for a phone": "Attend un téléphone",
    "Syncing": "Synchronisation",
    "Connecting": "Connexion",
    "Stopped": "Arrêtée",
    "Closed": "Fermée",
    "Logged out": "Déliée",
    "Banned": "Bannie",
    "Banned for a time": "Bannie pour un temps",
    "Outdated": "Version périmée",
    "Used elsewhere": "Utilisée ailleurs",
    "Failed": "En échec",
    # Reasons
    "just created": "vient d’être créée",
    "started": "démarrée",
    "connected": "connectée",
    "started by a person": "démarrée par une personne",
    "stopped by a person": "arrêtée par une personne",
    "restarted by a person": "redémarrée par une personne",
    "logged out here": "déliée ici",
    "nobody scanned the code": "personne n’a scanné le code",
    "linked": "liée",
    "linking failed": "la liaison a échoué",
    "linked, connecting anew": "liée, nouvelle connexion",
    "WhatsApp wants a passkey for this account": "WhatsApp veut une clé d’accès pour ce compte",
    "the phone is too old for linked devices": "le téléphone est trop ancien pour les appareils connectés",
    "connection lost": "connexion perdue",
    "WhatsApp cannot be reached": "WhatsApp est injoignable",
    "WhatsApp refused the connection": "WhatsApp a refusé la connexion",
    "WhatsApp is not available": "WhatsApp n’est pas disponible",
    "WhatsApp ended the stream": "WhatsApp a coupé le flux",
    "no answer to keep-alive": "pas de réponse au keep-alive",
    "nothing received for a minute": "rien reçu depuis une minute",
    "the engine did not start in time": "le moteur n’a pas démarré à temps",
    "no connection in time": "pas de connexion à temps",
    "its worker process ended": "son processus s’est arrêté",
    "the engine stopped handing over events": "le moteur ne transmet plus d’événements",
    "unlinked on the phone": "déliée sur le téléphone",
    "the account is gone from the phone": "le compte n’est plus sur le téléphone",
    "WhatsApp banned the account": "WhatsApp a banni le compte",
    "WhatsApp banned the account for a time": "WhatsApp a banni le compte pour un temps",
    "WhatsApp banned the account again": "WhatsApp a de nouveau banni le compte",
    "WhatsApp refuses the client version": "WhatsApp refuse la version du client",
    "WhatsApp refuses this client version for this account": ("WhatsApp refuse cette version du client pour ce compte"),
    "waits until WhatsApp accepts a client version": "attend que WhatsApp accepte une version du client",
    "tries whether WhatsApp accepts the client version": "vérifie si WhatsApp accepte la version du client",
    "WhatsApp accepts the client version again": "WhatsApp accepte de nouveau la version du client",
    "another program took over the connection": "un autre programme a pris la connexion",
    "two programs use the same link": "deux programmes utilisent le même lien",
    "another service owns this session": "un autre service possède cette session",
    "the same error again and again": "la même erreur encore et encore",
    "WhatsApp limits messages to new chats": "WhatsApp limite les messages aux nouvelles discussions",
    "unusually silent": "silence inhabituel",
    "sent messages get no receipt": "les messages envoyés restent sans accusé",
    "a test message did not come back": "un message d’essai n’est pas revenu",
    "not used for too long": "inutilisée depuis trop longtemps",
    "older than allowed": "plus ancienne que permis",
    "this service started again": "ce service a redémarré",
    "deleted": "supprimée",
    "closed": "fermée",
    "stopped when this service started": "arrêtée au démarrage de ce service",
    "the watchdog asked for a new connection": "le veilleur a demandé une nouvelle connexion",
    "not used for long, connecting again": "longtemps inutilisée, nouvelle connexion",
    "connected for long, connecting again": "connectée depuis longtemps, nouvelle connexion",
    "linked, but not connected in time": "liée, mais pas connectée à temps",
    "the engine started again": "le moteur a redémarré",
    "the engine connects again": "le moteur se reconnecte",
    "the engine stopped": "le moteur s’est arrêté",
    "connected; WhatsApp did not report the end of waiting messages": (
        "connectée ; WhatsApp n’a pas signalé la fin des messages en attente"
    ),
    "the engine could not connect again in time": "le moteur n’a pas pu se reconnecter à temps",
    "no answer to keep-alive, connecting again": "pas de réponse au keep-alive, nouvelle connexion",
    "nothing received for a minute, connecting again": "rien reçu depuis une minute, nouvelle connexion",
    "perhaps it receives no messages": "ne reçoit peut-être plus de messages",
    "perhaps it receives no messages: connecting again": ("ne reçoit peut-être plus de messages : nouvelle connexion"),
    "perhaps it receives no messages: starting in another process": (
        "ne reçoit peut-être plus de messages : démarrage dans un autre processus"
    ),
    "perhaps it receives no messages: replacing its process": (
        "ne reçoit peut-être plus de messages : remplacement de son processus"
    ),
    "the ban is over, connecting again": "le bannissement est terminé, nouvelle connexion",
    # Who must act
    "Whoever holds the phone has to act: look at WhatsApp on it, or link it again.": (
        "C’est au détenteur du téléphone d’agir : regarder WhatsApp dessus, ou le lier de nouveau."
    ),
    "Whoever answers for the WhatsApp account has to act; trying again by itself would do harm.": (
        "C’est au responsable du compte WhatsApp d’agir ; réessayer tout seul ferait du tort."
    ),
    "Whoever runs this service has to act: look at the log, and at the engine’s version.": (
        "C’est à l’exploitant de ce service d’agir : voir le journal et la version du moteur."
    ),
    "Veilleur looks by itself for a version that WhatsApp accepts, and alerts when somebody has to act.": (
        "Veilleur cherche de lui-même une version que WhatsApp accepte, et alerte quand quelqu’un doit agir."
    ),
    # How a command ended
    "The session starts.": "La session démarre.",
    "The session is stopped. The phone stays linked.": "La session est arrêtée. Le téléphone reste lié.",
    "The session restarts.": "La session redémarre.",
    "The phone is unlinked.": "Le téléphone est délié.",
    "The session is deleted.": "La session est supprimée.",
    "The message is on its way.": "Le message est en route.",
    "Type the code on the phone.": "Tapez le code sur le téléphone.",
    "The letters are sent again.": "Les lettres sont renvoyées.",
    "The session is in a state in which this cannot be done.": "L’état de la session ne le permet pas.",
    "It is not there any more.": "Ce n’est plus là.",
    "This key may not do that.": "Cette clé n’en a pas le droit.",
    "The page was too old. Please try again.": "La page était trop ancienne. Réessayez.",
    "Something in the form cannot be used. Please look at it again.": (
        "Quelque chose dans le formulaire ne convient pas. Relisez-le."
    ),
    "There is one with that id already.": "Il y en a déjà une avec cet identifiant.",
    "Too many messages for now. WhatsApp bans senders that are too fast.": (
        "Trop de messages pour l’instant. WhatsApp bannit les expéditeurs trop rapides."
    ),
    "The engine could not do it. The log says why.": "Le moteur n’a pas pu. Le journal dit pourquoi.",
    "It did not work. The log says why.": "Cela n’a pas marché. Le journal dit pourquoi.",
}
