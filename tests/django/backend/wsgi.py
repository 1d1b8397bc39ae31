"""The fixture as a WSGI application: what keeps `/api/` when pregon takes `/ws/`."""
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
application = get_wsgi_application()
