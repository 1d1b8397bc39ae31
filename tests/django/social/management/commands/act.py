"""Does one of the fixture's actions: `manage.py act post author=ana content=hola`; values that are JSON are taken as such."""
import json

from django.core.management.base import BaseCommand

from social.actions import ACTIONS


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("action", choices=sorted(ACTIONS))
        parser.add_argument("arguments", nargs="*", metavar="name=value")

    def handle(self, *_, action, arguments, **__):
        given = dict(argument.split("=", 1) for argument in arguments)
        done = ACTIONS[action](**{name: value(text) for name, text in given.items()})
        self.stdout.write(json.dumps(done, ensure_ascii=False))
