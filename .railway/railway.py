"""The Railway project as code: the bot service and the watchdog, two services from one repository.

Put your repository into ``REPOSITORY``, then ``railway config plan`` and ``railway config apply``. Set the two secrets by hand
once (docs/railway.md); ``preserve()`` keeps what is set there and never writes it here.
"""

from railway_sdk import Project, Service, define_railway, github, preserve, project, service, volume

REPOSITORY = "your-name/veilleur"
BRANCH = "main"
SHARED_PATHS = ["/shared/**", "/.dockerignore"]


def program(name: str, dockerfile: str, package: str, port: int, env: dict[str, object], **more: object) -> Service:
    """One service: its own Dockerfile and volume, and what keeps it running."""
    return service(
        name,
        source=github(REPOSITORY, branch=BRANCH),
        build={
            "builder": "DOCKERFILE",
            "dockerfilePath": dockerfile,
            "watchPatterns": [f"/{dockerfile}", f"/{package}/**", *SHARED_PATHS],
        },
        # Called once per deployment, never afterwards: what restarts a hung program is its own guard thread.
        healthcheck="/health",
        healthcheckTimeout=120,
        deploy={
            # A clean exit or the eleventh crash would end an ON_FAILURE service for good.
            "restartPolicyType": "ALWAYS",
            # The default of 0 seconds would kill at once, without a goodbye to WhatsApp.
            "drainingSeconds": 20,
            # Never two at one time: they would throw each other out of every session.
            "overlapSeconds": 0,
            "sleepApplication": False,
            "requiredMountPath": "/data",
        },
        replicas=1,
        volumeMounts={"/data": volume(f"{name}-data")},
        env={
            # The same choice by variable, for a service that is not managed by this file.
            "RAILWAY_DOCKERFILE_PATH": dockerfile,
            "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "20",
            "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS": "0",
            # Volumes belong to root; the entry point gives them to uid 10001 and drops every privilege.
            "RAILWAY_RUN_UID": "0",
            # Fixed, so that the other service can refer to it.
            "PORT": str(port),
            "DATA_DIR": "/data",
            **env,
        },
        **more,
    )


@define_railway
def main(ctx: object = None) -> Project:
    bot = program(
        "bot",
        "Dockerfile.bot",
        "bot_service",
        3000,
        {"BOT_API_KEY": preserve(), "WATCHDOG_TOKEN": preserve(), "ENGINE": "neonize"},
    )
    watchdog = program(
        "watchdog",
        "Dockerfile.watchdog",
        "watchdog",
        3001,
        {
            # Plain HTTP inside the private network, over IPv6 or IPv4; it costs nothing and needs no public domain.
            "BOT_URL": "http://${{bot.RAILWAY_PRIVATE_DOMAIN}}:${{bot.PORT}}",
            "WATCHDOG_TOKEN": bot.env.WATCHDOG_TOKEN,
            "RAILWAY_BOT_SERVICE_ID": bot.env.RAILWAY_SERVICE_ID,
            "ALERT_URLS": preserve(),
        },
    )
    return project("veilleur", resources=[bot, watchdog])
