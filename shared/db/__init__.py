"""The driver's module is first, before anything here imports peewee."""

from shared.db import driver as driver
