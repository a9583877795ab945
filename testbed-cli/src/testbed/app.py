"""The commands of `./testbed`."""

import typer

from testbed import certificates, check, lock, operate, topics, up
from testbed.verify.command import verify

app = typer.Typer(
    name="./testbed",
    help="LwM2M and Sparkplug B on one MQTT connection per device: start it, watch it, check it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command()(up.up)
app.command()(operate.status)
app.command()(operate.logs)
app.command()(operate.down)
app.command()(verify)
app.command()(check.test)
app.command()(lock.lock)
app.add_typer(certificates.app, name="certs")
app.command(hidden=True)(topics.topics)
