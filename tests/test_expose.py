"""expose: what clients may call, and under which names (reference, 5.1 and 12)."""

import pytest

import cptoolkit


class Generator:
    @cptoolkit.expose(["generer", "generar"])
    def generate(self, length=8):
        return "x" * int(length)

    @cptoolkit.expose("rss.xml")
    def feed(self):
        return "feed"

    @cptoolkit.expose("my-page")
    def page(self):
        return "page"

    @cptoolkit.expose(alias="other")
    def one(self):
        return "one"

    @cptoolkit.expose()
    def bare(self):
        return "bare"

    def later(self):
        return "later"

    cptoolkit.expose(later, ["afterwards"])

    def hidden(self):
        return "never"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/generate", "xxxxxxxx"),
        ("/generer", "xxxxxxxx"),
        ("/generar?length=3", "xxx"),
        ("/feed", "feed"),
        ("/rss.xml", "feed"),
        ("/my-page", "page"),
        ("/one", "one"),
        ("/other", "one"),
        ("/bare", "bare"),
        ("/later", "later"),
        ("/afterwards", "later"),
    ],
)
def test_exposed_method_answers_under_all_its_names(app_of, path, text):
    assert app_of(Generator()).get(path).text == text


@pytest.mark.parametrize("path", ["/xx", "/hidden"])
def test_what_is_not_exposed_is_404(app_of, path):
    app_of(Generator()).get(path, status=404)


def test_function_can_be_exposed_at_run_time(app_of):
    class Root:
        pass

    root = Root()
    root.page = cptoolkit.expose(lambda: "page")
    assert app_of(root).get("/page").text == "page"


def test_class_is_exposed_itself_and_its_methods_are_not(app_of):
    @cptoolkit.expose
    class Resource:
        def __call__(self):
            return "the object"

        def page(self):
            return "never"

    client = app_of(Resource())
    assert client.get("/").text == "the object"
    client.get("/page", status=404)


def test_static_and_class_methods_can_be_exposed_on_either_side(app_of):
    class Root:
        @cptoolkit.expose
        @staticmethod
        def outer():
            return "outer"

        @cptoolkit.expose(["alias"])
        @classmethod
        def of_class(cls):
            return cls.__name__

        @staticmethod
        @cptoolkit.expose
        def inner():
            return "inner"

    client = app_of(Root())
    paths = ["/outer", "/of_class", "/alias", "/inner"]
    assert [client.get(path).text for path in paths] == ["outer", "Root", "Root", "inner"]


def test_exposed_stays_the_same_object():
    def page():
        """Text."""

    assert cptoolkit.expose(page) is page
    assert page.exposed is True


def test_attribute_exposed_can_be_set_by_hand(app_of):
    class Root:
        def page(self):
            return "page"

        page.exposed = True

    assert app_of(Root()).get("/page").text == "page"


def test_overridden_method_is_exposed_only_if_it_says_so(app_of):
    class Closed(Generator):
        def feed(self):
            return "never"

    app_of(Closed()).get("/feed", status=404)


@pytest.mark.parametrize("target", [5, None, "name"])
def test_what_cannot_be_called_cannot_be_exposed(target):
    with pytest.raises(TypeError, match="only what can be called can be exposed"):
        cptoolkit.expose()(target)


@pytest.mark.parametrize("alias", [5, [5], "", "a/b", ["ok", ""]])
def test_alias_that_no_url_can_name_is_refused(alias):
    with pytest.raises((TypeError, ValueError), match="alias"):
        cptoolkit.expose(lambda: "", alias)


def test_builtin_that_takes_no_attributes_is_told_so():
    with pytest.raises(TypeError, match="cannot be exposed"):
        cptoolkit.expose(len)
