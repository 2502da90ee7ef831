"""The official client arrives without the second that a package it tries to import would take."""

import subprocess
import sys


def test_the_official_client_is_imported_without_its_validator():
    code = (
        "import sys, labkit.client.official as official\n"
        "official.client.CoreV1Api\n"
        "assert 'jsonschema' not in sys.modules\n"
        "import kubernetes_validate\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
