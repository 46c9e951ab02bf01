"""Qt stand-in: PySide6 with the habits of PythonQt, so that what PythonQt refuses is refused.

- A Qt property is an attribute: ``slider.value``, never ``slider.value()``; ``slider.value = 3``
  sets it, a misspelt name raises.
- Signals are connected with ``widget.connect("clicked(bool)", f)``; a signature that the class
  does not have raises, and ``f`` is called with every argument of the signal.
- An exception in a slot is kept in ``SLOT_FAULTS``, where Slicer would print it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

SLOT_FAULTS: list[BaseException] = []
STAY_METHODS = {"sizeHint", "minimumSizeHint", "QProgressBar.text", "singleShot"}
"""Qt calls the first three itself, as virtual functions; the last is static."""

_loading = [False]
_connections: dict[tuple[int, str, Any], Callable[..., None]] = {}


def qt_module(widgets: Sequence[type]) -> ModuleType:
    """``qt`` as Slicer has it: one flat module of Qt's classes.

    Args:
        widgets: stand-ins that a ``.ui`` file may name.
    """
    module: Any = ModuleType("qt")
    for library in (QtCore, QtGui, QtWidgets):
        for name in dir(library):
            if name.startswith("Q"):
                entry = getattr(library, name)
                setattr(module, name, entry)
                if inspect.isclass(entry) and issubclass(entry, QtCore.QObject):
                    _adopt_habits(entry)
    module.QUiLoader = _loader(widgets)
    return module


def _get(name: str) -> Callable[[Any], Any]:
    return lambda self: QtCore.QObject.property(self, name)


def _set(name: str) -> Callable[[Any, Any], None]:
    def setter(self: Any, value: Any) -> None:
        if not QtCore.QObject.setProperty(self, name, value):
            raise TypeError(f"{type(self).__name__}.{name} cannot be {value!r}")

    return setter


def _adopt_habits(cls: Any) -> None:
    """Every class by itself: PySide6 does not look for changes in the parents of a class."""
    cls.name = property(_get("objectName"), _set("objectName"))
    cls.__getattribute__ = _with_connections(cls.__getattribute__)
    cls.__setattr__ = _set_known_attribute
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        found = meta.property(index)
        name = found.name()
        if not STAY_METHODS & {name, f"{cls.__name__}.{name}"}:
            setter = _set(name) if found.isWritable() else None
            setattr(cls, name, property(_get(name), setter))


def _with_connections(original: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """Attribute access that finds ``connect`` and ``disconnect`` of ours before PySide6's own."""

    def get(self: Any, name: str) -> Any:
        own = {"connect": connect, "disconnect": disconnect}.get(name)
        return partial(own, self) if own else original(self, name)

    return get


def _set_known_attribute(self: Any, name: str, value: Any) -> None:
    if not (name.startswith("_") or hasattr(type(self), name) or _loading[0]):
        raise AttributeError(
            f"'{name}' does not exist on {type(self).__name__} and creating new attributes on "
            "C++ objects is not allowed"
        )
    known: Any = getattr(type(self), name, None)
    if isinstance(known, QtCore.Property):
        _set(name)(self, value)
    elif hasattr(type(known), "__set__"):
        known.__set__(self, value)
    else:
        self.__dict__[name] = value


def _signal(sender: Any, signature: str) -> Any:
    """The signal that ``signature`` names, such as ``valueChanged(int)``.

    The stand-ins cannot declare a signal of ``vtkMRMLNode*``; ``SIGNATURES`` of their class says
    under which signature Slicer has it.
    """
    name = getattr(type(sender), "SIGNATURES", {}).get(signature)
    if name:
        return getattr(sender, name)
    meta = sender.metaObject()
    if meta.indexOfSignal(signature) < 0:
        raise ValueError(f"{type(sender).__name__} has no signal {signature}")
    name, _, types = signature.rstrip(")").partition("(")
    signal = getattr(sender, name)
    try:
        return signal[types] if types else signal
    except (KeyError, IndexError):
        return signal


def connect(sender: Any, signature: str, slot: Callable[..., Any]) -> bool:
    """``widget.connect("signal(type)", slot)`` as PythonQt has it."""
    if not callable(slot):
        raise TypeError(f"{slot!r} is no slot")

    def call(*arguments: Any) -> None:
        try:
            slot(*arguments)
        except BaseException as error:
            SLOT_FAULTS.append(error)

    _connections[id(sender), signature, slot] = call
    _signal(sender, signature).connect(call)
    return True


def disconnect(sender: Any, signature: str, slot: Callable[..., Any]) -> bool:
    """Undo ``connect``."""
    call = _connections.pop((id(sender), signature, slot), None)
    if call is None:
        raise ValueError(f"{signature} was not connected to {slot!r}")
    _signal(sender, signature).disconnect(call)
    return True


@contextmanager
def _children_as_attributes() -> Iterator[None]:
    """PySide6's loader gives every widget its children as attributes."""
    _loading[0] = True
    try:
        yield
    finally:
        _loading[0] = False


def _loader(widgets: Sequence[type]) -> type:
    class UiLoader:
        """``qt.QUiLoader``: knows the stand-ins beside Qt's own widgets."""

        def load(self, file: Any) -> Any:
            loader = QtUiTools.QUiLoader()
            for widget in widgets:
                loader.registerCustomWidget(widget)
            with _children_as_attributes():
                return loader.load(file)

    return UiLoader
