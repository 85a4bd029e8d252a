"""French for the pages of webhooks and keys; a part of :mod:`bot_service.dashboard.french`."""

from __future__ import annotations

from collections.abc import Mapping

INTEGRATION: Mapping[str, str] = {
    # Webhooks
    "Webhooks": "Webhooks",
    "Webhooks of {name}": "Webhooks de {name}",
    "Events are posted there, signed, and tried again for hours.": (
        "Les événements y sont postés, signés, et réessayés pendant des heures."
    ),
    "Address": "Adresse",
    "Hears of": "Concerne",
    "every session": "toutes les sessions",
    "of {owner}": "de {owner}",
    "of every owner": "de tous les propriétaires",
    "all": "tous",
    "switched off": "désactivé",
    "made": "créé",
    "issued": "émise",
    "Test": "Essayer",
    "Test {name}": "Essayer {name}",
    "Delete": "Supprimer",
    "Delete for good": "Supprimer pour de bon",
    "No webhook of this session alone.": "Aucun webhook pour cette session seule.",
    "No webhook yet: events are kept, and nobody is told.": (
        "Aucun webhook pour l’instant : les événements sont gardés, et personne n’est prévenu."
    ),
    "Add a webhook": "Ajouter un webhook",
    "Add and show the secret": "Ajouter et montrer le secret",
    "The webhook is there. Its secret is shown now and never again; the receiver checks signatures with it.": (
        "Le webhook est là. Son secret est montré maintenant et plus jamais ; le destinataire vérifie les signatures avec."
    ),
    "Secret": "Secret",
    "{url} took the test event: {status}, after {span}.": "{url} a pris l’événement d’essai : {status}, après {span}.",
    "{url} refused the test event: {status}, after {span}.": "{url} a refusé l’événement d’essai : {status}, après {span}.",
    "{url} did not get the test event: {why}.": "{url} n’a pas reçu l’événement d’essai : {why}.",
    "no answer in time": "pas de réponse à temps",
    "nothing listens there": "rien n’y écoute",
    "the name is not known": "ce nom est inconnu",
    "its certificate is not good": "son certificat n’est pas valable",
    "private addresses are not allowed here": "les adresses privées ne sont pas permises ici",
    "The webhook is deleted. What was on its way to it is dropped.": (
        "Le webhook est supprimé. Ce qui était en route vers lui est abandonné."
    ),
    "a message arrived": "un message est arrivé",
    "a message of ours was sent, delivered, read or failed": "un de nos messages est envoyé, remis, lu ou en échec",
    "a session changed its state": "une session a changé d’état",
    "a new QR or pairing code can be fetched": "un nouveau code QR ou de liaison est disponible",
    "a session needs a person": "une session a besoin de quelqu’un",
    "a session was deleted": "une session a été supprimée",
    "the service itself needs a person": "le service lui-même a besoin de quelqu’un",
    "what the service needed a person for is over": "ce pour quoi le service avait besoin de quelqu’un est réglé",
    # Keys
    "Keys": "Clés",
    "Key": "Clé",
    "Each program that uses the API gets a key of its own, with no more than it needs.": (
        "Chaque programme qui utilise l’API a sa propre clé, sans rien de plus que le nécessaire."
    ),
    "May": "Permet de",
    "Last used": "Dernier usage",
    "Good for": "Valable",
    "ever, until it is revoked": "toujours, jusqu’à révocation",
    "{n} days": "{n} jours",
    "good": "valable",
    "good until {day}": "valable jusqu’au {day}",
    "expired": "expirée",
    "revoked": "révoquée",
    "Revoke": "Révoquer",
    "Revoke {name}": "Révoquer {name}",
    "Revoke for good": "Révoquer pour de bon",
    "No key yet: only the administrator’s own opens the API.": (
        "Aucune clé pour l’instant : seule celle de l’administrateur ouvre l’API."
    ),
    "Make a key": "Créer une clé",
    "Make and show the key": "Créer et montrer la clé",
    "The key {name} is made. It is shown now and never again.": (
        "La clé {name} est créée. Elle est montrée maintenant et plus jamais."
    ),
    "The key is revoked. Whoever uses it is refused from now on.": (
        "La clé est révoquée. Qui s’en sert est refusé dès maintenant."
    ),
    "look at sessions, messages, webhooks": "regarder sessions, messages, webhooks",
    "send messages": "envoyer des messages",
    "make, pair, start, stop, delete sessions and webhooks": (
        "créer, lier, démarrer, arrêter, supprimer sessions et webhooks"
    ),
    "everything, for every owner, and keys": "tout, pour tous les propriétaires, et les clés",
}
