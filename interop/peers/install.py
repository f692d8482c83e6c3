"""Installs the packages of `requirements.txt` for the Python that runs this, and notes that it did."""

import pathlib
import shutil
import subprocess
import sys

requirements = pathlib.Path(__file__).with_name("requirements.txt")
pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
subprocess.run([*pip, "--requirement", str(requirements)], check=True)
shutil.copyfile(requirements, pathlib.Path(sys.prefix) / "requirements.txt")
