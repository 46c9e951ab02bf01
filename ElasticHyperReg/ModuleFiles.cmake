# Written by scripts/cmake_files.py; a test compares it with the files.

set(MODULE_PYTHON_SCRIPTS
  ElasticHyperReg.py
  ElasticHyperRegSlicer/__init__.py
  ElasticHyperRegSlicer/comparison.py
  ElasticHyperRegSlicer/display.py
  ElasticHyperRegSlicer/estimation.py
  ElasticHyperRegSlicer/inputs.py
  ElasticHyperRegSlicer/installation.py
  ElasticHyperRegSlicer/library.py
  ElasticHyperRegSlicer/live.py
  ElasticHyperRegSlicer/models.py
  ElasticHyperRegSlicer/output.py
  ElasticHyperRegSlicer/painting.py
  ElasticHyperRegSlicer/panel.py
  ElasticHyperRegSlicer/quality.py
  ElasticHyperRegSlicer/samples.py
  ElasticHyperRegSlicer/texts.py
  ElasticHyperRegSlicer/tissues.py
  ElasticHyperRegSlicer/totalsegmentator.py
  Scripts/batch.py
  )

set(MODULE_PYTHON_RESOURCES
  Resources/Icons/ElasticHyperReg.png
  Resources/Icons/lock.png
  Resources/Icons/presets.png
  Resources/UI/ElasticHyperReg.ui
  Resources/requirements.txt
  )
