"""A docker-registry, and what else a phase cannot be tried without."""

import docker_registry
from kit import Skip


def need(*programs):
    """Skips what needs programs that are not here."""
    if why := docker_registry.lacking(*programs):
        raise Skip(why)


class Registry(docker_registry.DockerRegistry):
    """A registry that keeps what it has in `folder`."""

    def __init__(self, folder):
        need("docker-registry")
        try:
            super().__init__(folder)
        except docker_registry.CannotStart as why:
            raise Skip(str(why)) from None
