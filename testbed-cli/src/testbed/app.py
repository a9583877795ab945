"""The commands of `./testbed`."""

import typer

from testbed import certificates, check, lock, operate, topics, up
from testbed.bench.command import app as bench
from testbed.experiments.command import app as experiment
from testbed.logs.command import logs
from testbed.monitor.command import monitor
from testbed.sparkplug_lint.command import sparkplug_lint
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
app.command()(logs)
app.command()(operate.down)
app.command()(monitor)
app.command()(verify)
app.command("sparkplug-lint")(sparkplug_lint)
app.command("test")(check.run)
app.command()(lock.lock)
app.add_typer(certificates.app, name="certs")
app.add_typer(bench, name="bench")
app.add_typer(experiment, name="experiment")
app.command(hidden=True)(topics.topics)
