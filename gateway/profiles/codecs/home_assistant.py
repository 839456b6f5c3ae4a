"""Home Assistant's discovery messages, written out.

https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery: keys may be abbreviated, ``~``
stands for a base topic, and one message may describe a whole device with many components.
"""

from typing import Any, Literal

from gateway.errors import DecodeError
from gateway.model import RawMessage
from gateway.profiles.codecs.codec import Codec, Options
from gateway.profiles.codecs.structured import JsonOptions
from gateway.profiles.template import template

_MAX_COMPONENTS = 1000

_LONG = {
    "avty": "availability", "avty_mode": "availability_mode", "avty_t": "availability_topic",
    "avty_tpl": "availability_template", "dev": "device", "dev_cla": "device_class",
    "ent_cat": "entity_category", "exp_aft": "expire_after", "json_attr": "json_attributes",
    "json_attr_t": "json_attributes_topic", "json_attr_tpl": "json_attributes_template",
    "cmps": "components", "o": "origin", "obj_id": "object_id", "ops": "options", "p": "platform",
    "pl": "payload", "pl_avail": "payload_available", "pl_not_avail": "payload_not_available",
    "pl_off": "payload_off", "pl_on": "payload_on", "pl_home": "payload_home",
    "pl_not_home": "payload_not_home", "stat_cla": "state_class", "stat_off": "state_off",
    "stat_on": "state_on", "stat_t": "state_topic", "stat_tpl": "state_template",
    "stat_val_tpl": "state_value_template", "sug_dsp_prc": "suggested_display_precision",
    "t": "topic", "uniq_id": "unique_id", "unit_of_meas": "unit_of_measurement",
    "val_tpl": "value_template", "temp_unit": "temperature_unit", "cmd_t": "command_topic",
    "cmd_tpl": "command_template", "ic": "icon", "en": "enabled_by_default", "ret": "retain",
    "frc_upd": "force_update", "def_ent_id": "default_entity_id",
    "act_t": "action_topic", "act_tpl": "action_template",
    "bri_stat_t": "brightness_state_topic", "bri_val_tpl": "brightness_value_template",
    "clr_temp_stat_t": "color_temp_state_topic", "clr_temp_val_tpl": "color_temp_value_template",
    "curr_hum_t": "current_humidity_topic", "curr_hum_tpl": "current_humidity_template",
    "curr_temp_t": "current_temperature_topic", "curr_temp_tpl": "current_temperature_template",
    "dir_stat_t": "direction_state_topic", "dir_val_tpl": "direction_value_template",
    "fan_mode_stat_t": "fan_mode_state_topic", "fan_mode_stat_tpl": "fan_mode_state_template",
    "fx_stat_t": "effect_state_topic", "fx_val_tpl": "effect_value_template",
    "hs_stat_t": "hs_state_topic", "hs_val_tpl": "hs_value_template",
    "hum_stat_t": "target_humidity_state_topic", "hum_state_tpl": "target_humidity_state_template",
    "mode_stat_t": "mode_state_topic", "mode_stat_tpl": "mode_state_template",
    "osc_stat_t": "oscillation_state_topic", "osc_val_tpl": "oscillation_value_template",
    "pct_stat_t": "percentage_state_topic", "pct_val_tpl": "percentage_value_template",
    "pos_t": "position_topic", "pos_tpl": "position_template",
    "pr_mode_stat_t": "preset_mode_state_topic", "pr_mode_val_tpl": "preset_mode_value_template",
    "rgb_stat_t": "rgb_state_topic", "rgb_val_tpl": "rgb_value_template",
    "stat_locked": "state_locked", "stat_unlocked": "state_unlocked",
    "swing_mode_stat_t": "swing_mode_state_topic",
    "swing_mode_stat_tpl": "swing_mode_state_template",
    "temp_hi_stat_t": "temperature_high_state_topic",
    "temp_hi_stat_tpl": "temperature_high_state_template",
    "temp_lo_stat_t": "temperature_low_state_topic",
    "temp_lo_stat_tpl": "temperature_low_state_template",
    "temp_stat_t": "temperature_state_topic", "temp_stat_tpl": "temperature_state_template",
    "tilt_status_t": "tilt_status_topic", "tilt_status_tpl": "tilt_status_template",
    "xy_stat_t": "xy_state_topic", "xy_val_tpl": "xy_value_template",
    "l_ver_t": "latest_version_topic", "l_ver_tpl": "latest_version_template",
}  # fmt: skip
_LONG_OF_DEVICE = {
    "cu": "configuration_url", "cns": "connections", "ids": "identifiers", "name": "name",
    "mf": "manufacturer", "mdl": "model", "mdl_id": "model_id", "hw": "hw_version",
    "sw": "sw_version", "sa": "suggested_area", "sn": "serial_number", "via_device": "via_device",
}  # fmt: skip
_SWITCHED = frozenset({"binary_sensor", "switch", "light", "fan", "humidifier", "siren"})
# Where the value stands in messages that Home Assistant itself has laid down.
_AGREED = {"event": "event_type", "vacuum": "state"}


class HomeAssistantOptions(Options):
    """``home-assistant``: ``p.components``, one object for each thing described; null if empty.

    Each has the message's keys written out, what it inherits from the device, and besides
    ``device_id``, ``via_device``, ``metric``, ``platform``, ``value_path`` (dotted, null for the
    payload itself), ``readable`` (its template is one that can be followed), ``on`` and ``off``
    (the texts that mean true and false), ``gone`` (a bundle says that it has this one no more),
    ``agreed`` (the key of its value where Home Assistant lays down what a message looks like) and
    ``availability``, an array of ``{topic, template, on, off}``.
    """

    name: Literal["home-assistant"] = "home-assistant"

    def build(self) -> Codec:
        """Return the codec; DecodeError as for ``json``, and ``bad_shape``."""
        return _decode


_json = JsonOptions().build()


def _decode(message: RawMessage) -> Any:  # noqa: ANN401 - JSON
    if not message.payload:
        return None
    document = _json(message)
    if type(document) is not dict:
        raise DecodeError("bad_shape", "a discovery message is an object")
    root = _written_out(document)
    described = root.pop("components", None)
    levels = message.topic.split("/")
    if described is None:
        parts = {levels[-2]: {"platform": levels[1] if len(levels) > 3 else None, **root}}
    elif type(described) is dict and len(described) <= _MAX_COMPONENTS:
        parts = {
            name: {**root, **_written_out(part), "gone": len(part) == 1}
            for name, part in described.items()
            if type(part) is dict and (part.get("p") or part.get("platform"))
        }
    else:
        raise DecodeError("bad_shape", "components are an object of at most 1,000")
    return {"components": [_component(name, part, levels[-2]) for name, part in parts.items()]}


def _written_out(short: dict[str, Any]) -> dict[str, Any]:
    long = {_LONG.get(key, key): value for key, value in short.items()}
    base = long.pop("~", None)
    if type(base) is str:
        long = {key: _with_base(key, value, base) for key, value in long.items()}
    if type(long.get("device")) is dict:
        long["device"] = {_LONG_OF_DEVICE.get(k, k): v for k, v in long["device"].items()}
    if type(long.get("availability")) is list:
        long["availability"] = [
            _written_out({"~": base, **each} if type(base) is str else each)
            for each in long["availability"]
            if type(each) is dict
        ]
    return long


def _with_base(key: str, value: Any, base: str) -> Any:  # noqa: ANN401 - JSON
    if type(value) is not str or not key.endswith("topic"):
        return value
    if value.startswith("~"):
        return base + value[1:]
    return value[:-1] + base if value.endswith("~") else value


def _component(name: str, part: dict[str, Any], node: str) -> dict[str, Any]:
    device = part.get("device")
    device = device if type(device) is dict else {}
    found = template(_text(part.get("value_template")))
    switched = part.get("platform") in _SWITCHED
    return {
        **part,
        "device_id": _identifier(device) or node,
        "via_device": _text(device.get("via_device")),
        "metric": _text(part.get("unique_id")) or _text(part.get("object_id")) or name,
        "value_path": None if found is None else found.dotted,
        "readable": found is not None,
        "agreed": None if part.get("value_template") else _AGREED.get(str(part.get("platform"))),
        "on": _word(part, "state_on", "payload_on", default="ON" if switched else None),
        "off": _word(part, "state_off", "payload_off", default="OFF" if switched else None),
        "availability": _availability(part),
    }


def _identifier(device: dict[str, Any]) -> str | None:
    """Return the first identifier, or else the first connection's address."""
    ids = device.get("identifiers")
    first = ids[0] if type(ids) is list and ids else ids
    if first is None and type(device.get("connections")) is list and device["connections"]:
        pair = device["connections"][0]
        first = pair[1] if type(pair) is list and len(pair) == 2 else None
    return str(first) if type(first) in {str, int} else None


def _availability(part: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the topics that say whether the device is there, each with its two words."""
    listed = part.get("availability")
    if type(listed) is dict:
        listed = [_written_out(listed)]
    if type(listed) is not list or not listed:
        template_ = part.get("availability_template")
        listed = [{**part, "topic": part.get("availability_topic"), "value_template": template_}]
    return [
        {
            "topic": _text(each.get("topic")),
            "template": _text(each.get("value_template")),
            "on": _word(each, "payload_available", default="online"),
            "off": _word(each, "payload_not_available", default="offline"),
        }
        for each in listed
    ]


def _word(part: dict[str, Any], *keys: str, default: str | None) -> str | None:
    return next((part[key] for key in keys if part.get(key) is not None), default)


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None
