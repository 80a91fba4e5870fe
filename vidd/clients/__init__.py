"""Clients of other systems, each turning foreign answers into the three fates.

`ACCOUNTS` names the kinds of account; an account's options model is the class `Account` in its module.
"""

ACCOUNTS = {
    "cms": "vidd.clients.cms",
    "facebook": "vidd.clients.facebook",
    "google": "vidd.clients.google_sheets",
    "mongodb": "vidd.clients.mongo",
    "pcloud": "vidd.clients.pcloud",
    "s3": "vidd.clients.aws",
    "secret": "vidd.clients.secret",
    "smtp": "vidd.clients.smtp",
    "webhook": "vidd.clients.webhook",
    "youtube": "vidd.clients.youtube",
}
