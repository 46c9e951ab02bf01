"""Qt stand-in: the CTK widgets of the panel, with the properties and signals that CTK gives them.

They look roughly as in 3D Slicer; what they draw is ours.
"""

from __future__ import annotations

from PySide6.QtCore import Property, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import (
    QAbstractButton,
    QDoubleSpinBox,
    QGroupBox,
    QHBoxLayout,
    QLineEdit,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStyleOptionGroupBox,
    QToolButton,
    QWidget,
)

SLIDER_STEPS = 1000


class ctkCollapsibleButton(QAbstractButton):  # noqa: N801
    """A header that shows or hides what is laid out below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._header(), 0, 0)
        self.clicked.connect(lambda *_: self._collapse(not self._collapsed))

    def _header(self) -> int:
        return self.fontMetrics().height() + 8

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed  # what is inside lies outside the header, so it is not drawn
        self.setMaximumHeight(self._header() if collapsed else 16777215)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, _collapse)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        return self.sizeHint()

    def sizeHint(self) -> QSize:  # noqa: N802
        header = QSize(120, self._header())
        layout = QWidget.layout(self)
        if self._collapsed or layout is None:
            return header
        return layout.totalSizeHint().expandedTo(header)

    def hitButton(self, position) -> bool:  # noqa: N802
        return position.y() < self._header()

    def paintEvent(self, event) -> None:  # noqa: N802
        painter = QPainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        width = self.property("size").width()
        bar = QRect(0, 0, width, self._header())
        option.rect = bar
        style = QWidget.style(self)
        style.drawPrimitive(QStyle.PrimitiveElement.PE_PanelButtonCommand, option, painter, self)
        option.rect = QRect(6, (bar.height() - 10) // 2, 10, 10)
        arrow = (
            QStyle.PrimitiveElement.PE_IndicatorArrowRight
            if self._collapsed
            else QStyle.PrimitiveElement.PE_IndicatorArrowDown
        )
        style.drawPrimitive(arrow, option, painter, self)
        text = bar.adjusted(24, 0, -4, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, str(self.property("text")))
        painter.end()


class ctkCollapsibleGroupBox(QGroupBox):  # noqa: N801
    """A group box whose title folds it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        QGroupBox.setCheckable(self, True)
        self.toggled.connect(self._show)

    def _show(self, shown: bool) -> None:
        self.setMaximumHeight(16777215 if shown else self.fontMetrics().height() + 4)

    def _set_collapsed(self, collapsed: bool) -> None:
        QGroupBox.setChecked(self, not collapsed)
        self._show(not collapsed)

    def paintEvent(self, event) -> None:  # noqa: N802
        option = QStyleOptionGroupBox()
        self.initStyleOption(option)
        if not QGroupBox.isChecked(self):
            option.subControls &= ~QStyle.SubControl.SC_GroupBoxFrame
        painter = QPainter(self)
        style = QWidget.style(self)
        style.drawComplexControl(QStyle.ComplexControl.CC_GroupBox, option, painter, self)
        painter.end()

    collapsed = Property(bool, lambda self: not QGroupBox.isChecked(self), _set_collapsed)


class ctkSliderWidget(QWidget):  # noqa: N801
    """A slider and a spin box over one number."""

    valueChanged = Signal(float)
    SIGNATURES = {"valueChanged(double)": "valueChanged"}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, SLIDER_STEPS)
        self._box = QDoubleSpinBox(self)
        row.addWidget(self._slider, 1)
        row.addWidget(self._box)
        self._box.valueChanged.connect(self._moved)
        self._slider.valueChanged.connect(self._dragged)

    def _moved(self, value: float) -> None:
        low, high = self.property("minimum"), self.property("maximum")
        self._slider.blockSignals(True)
        self._slider.setValue(round(SLIDER_STEPS * (value - low) / ((high - low) or 1)))
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def _dragged(self, position: int) -> None:
        low, high = self.property("minimum"), self.property("maximum")
        self._box.setValue(low + (high - low) * position / SLIDER_STEPS)

    def _set(self, name: str, value: object) -> None:
        self._box.setProperty(name, value)
        self._moved(self._box.property("value"))

    value = Property(
        float, lambda self: self._box.property("value"), lambda self, v: self._box.setValue(v)
    )
    minimum = Property(
        float, lambda self: self._box.property("minimum"), lambda self, v: self._set("minimum", v)
    )
    maximum = Property(
        float, lambda self: self._box.property("maximum"), lambda self, v: self._set("maximum", v)
    )
    decimals = Property(
        int, lambda self: self._box.property("decimals"), lambda self, v: self._set("decimals", v)
    )
    singleStep = Property(
        float,
        lambda self: self._box.property("singleStep"),
        lambda self, v: self._set("singleStep", v),
    )
    suffix = Property(
        str, lambda self: self._box.property("suffix"), lambda self, v: self._set("suffix", v)
    )

    def setValue(self, value: float) -> None:  # noqa: N802
        self._box.setValue(value)


class ctkPathLineEdit(QWidget):  # noqa: N801
    """A path with a button to browse for it; here the button does nothing."""

    currentPathChanged = Signal(str)
    SIGNATURES = {"currentPathChanged(QString)": "currentPathChanged"}

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self._edit = QLineEdit(self)
        self._button = QToolButton(self)
        self._button.setText("…")
        row.addWidget(self._edit, 1)
        row.addWidget(self._button)
        self._edit.textChanged.connect(self.currentPathChanged)
        self._filters = 0
        self._key = ""

    currentPath = Property(
        str, lambda self: self._edit.property("text"), lambda self, path: self._edit.setText(path)
    )

    def _set_key(self, key: str) -> None:
        self._key = key

    settingKey = Property(str, lambda self: self._key, _set_key)

    @property
    def filters(self) -> int:
        return self._filters

    @filters.setter
    def filters(self, value: int) -> None:
        self._filters = value

    Dirs = 1
    Writable = 32

    def addCurrentPathToHistory(self) -> None:  # noqa: N802
        pass


WIDGETS: list[type] = [
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkSliderWidget,
    ctkPathLineEdit,
]
