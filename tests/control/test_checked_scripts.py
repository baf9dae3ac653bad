"""A check of a script refuses what the service would, and changes nothing."""

from tests.support.controlled import Controlled


class CheckedScriptTests(Controlled):
    """Scripts that have no problem by themselves."""

    def test_a_check_of_what_the_service_cannot_use(self) -> None:
        """A check refuses what would be refused, in the same words."""
        for text in (
            "[upstream]\naddress = 'a:1'\ntls = { ca = 'none.pem' }\n",
            "[[rule]]\ndo = [{ send = 'go' }, { start_tls = true }]\n",
            "[[rule]]\nforward = true\n",
        ):
            checked, used = (
                self.ask(method, f"/api/services/smtp/{path}", {"script": text})
                for method, path in (("POST", "script/check"), ("PUT", "script"))
            )
            self.assertEqual((checked.status, used.status), (422, 422), text)
            self.assertEqual(checked.json, used.json)
            self.assertEqual(self.get("/api/services/smtp")["summary"], "3 rules in 2 states")
