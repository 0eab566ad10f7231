"""Every conversation script below test/talk/, against the real roles."""
import os

import pytest
import talk


@pytest.mark.parametrize("path", talk.scripts(), ids=os.path.basename)
def test_talk(path):
    talk.Talk(path).run()
