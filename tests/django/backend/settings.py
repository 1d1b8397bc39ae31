"""Settings of the fixture: what the tests vary comes from the environment, the rest is as a backend has it."""
import os

import pymysql

# Django asks for mysqlclient's version; PyMySQL speaks the same interface and needs no compiler.
pymysql.version_info = (2, 2, 4, "final", 0)
pymysql.install_as_MySQLdb()

if os.environ.get("FIXTURE_UUID") == "char":
    # As on MySQL, and on MariaDB before 10.7: ids in char(32) without hyphens.
    from django.db.backends.mysql.features import DatabaseFeatures

    DatabaseFeatures.has_native_uuid_field = False

SECRET_KEY = os.environ["FIXTURE_SECRET"]
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "backend.urls"
WSGI_APPLICATION = "backend.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "channels",
    "social",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
AUTH_USER_MODEL = "social.User"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.mysql",
        "NAME": os.environ["FIXTURE_DATABASE"],
        "USER": os.environ.get("FIXTURE_USER", "root"),
        "PASSWORD": os.environ.get("FIXTURE_PASSWORD", ""),
        "HOST": os.environ.get("FIXTURE_HOST", "127.0.0.1"),
        "PORT": os.environ.get("FIXTURE_PORT", "3306"),
        "OPTIONS": {"charset": "utf8mb4", "init_command": "SET sql_mode='STRICT_TRANS_TABLES'"},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ.get("FIXTURE_REDIS", "redis://127.0.0.1:6379/0")]},
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "UNAUTHENTICATED_USER": None,
}
SIMPLE_JWT = {"SIGNING_KEY": SECRET_KEY, "ALGORITHM": "HS256"}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "es-es"
USE_TZ = False
TIME_ZONE = "America/Bogota"
