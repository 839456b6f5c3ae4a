"""What goes wrong with access; the text says what to do."""

from gateway.errors import GatewayError


class AccessError(GatewayError):
    """A device cannot be let in or changed so, or the box's files of access cannot be used."""

    code = "access"
