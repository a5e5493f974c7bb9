"""The resources of a template with given parameters: without conditions and references to them.

References to resources stay. So do the names of stack, account and region, unless they are given.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.package.test_template_rules import value_of
from tools.template.required import usual_values

type Template = Mapping[str, Any]
type Resources = Mapping[str, Mapping[str, Any]]

_PLACEHOLDER = re.compile(r"\$\{([^}]+)\}")
_NO_VALUE = {"Ref": "AWS::NoValue"}
# What functions/write_to_dynamodb/table_on_deployment.py answers is what it was asked.
_ANSWERS = {
    ("PreparedTable", "TableName"): {"Ref": "TableName"},
    ("PreparedTable", "StreamArn"): {"Ref": "TableStreamArn"},
}


def render(
    template: Template, chosen: Mapping[str, str], pseudo: Mapping[str, str] | None = None
) -> Resources:
    """The resources that a deployment with these parameters has.

    Args:
        template: the template as CloudFormation.
        chosen: the parameters that do not have their usual value.
        pseudo: values of pseudo parameters, such as `AWS::StackName`. The others stay references.

    Raises:
        NotImplementedError: the template uses a function that is not known here.
    """
    renderer = _Renderer(template, chosen, pseudo or {})
    return {
        name: renderer.resource(resource)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or renderer.holds(resource["Condition"])
    }


class _Renderer:
    def __init__(
        self, template: Template, chosen: Mapping[str, str], pseudo: Mapping[str, str]
    ) -> None:
        declared = template["Parameters"]
        self._types = {name: its["Type"] for name, its in declared.items()}
        self._parameters = usual_values(template) | dict(chosen)
        self._conditions = template["Conditions"]
        self._mappings = template.get("Mappings", {})
        self._pseudo = pseudo

    def holds(self, condition: str) -> bool:
        return bool(value_of({"Condition": condition}, self._parameters, self._conditions))

    def resource(self, resource: Mapping[str, Any]) -> Mapping[str, Any]:
        return {key: self._value(its) for key, its in resource.items() if key != "Condition"}

    def _value(self, node: Any) -> Any:
        match node:
            case list():
                return _present([self._value(one) for one in node])
            case {"Ref": str(name)} if name in self._types:
                return self._parameter(name)
            case {"Ref": str(name)}:
                return self._pseudo.get(name, node)
            case {"Fn::GetAtt": [str(name), str(attribute)]}:
                answer = _ANSWERS.get((name, attribute))
                return node if answer is None else self._value(answer)
            case {"Fn::If": [str(condition), then, otherwise]}:
                return self._value(then if self.holds(condition) else otherwise)
            case dict() if len(node) == 1 and next(iter(node)).startswith("Fn::"):
                ((function, argument),) = node.items()
                return self._call(function, argument)
            case dict():
                found = {key: self._value(one) for key, one in node.items()}
                return {key: one for key, one in found.items() if one != _NO_VALUE}
            case _:
                return node

    def _parameter(self, name: str) -> Any:
        value = self._parameters[name]
        match self._types[name]:
            case "Number":
                return int(value)
            case "CommaDelimitedList":
                return value.split(",")
            case _:
                return value

    def _call(self, function: str, argument: Any) -> Any:
        match function, argument:
            case "Fn::FindInMap", [str(mapping), row, str(column)]:
                return self._mappings[mapping][str(self._value(row))][column]
            case "Fn::Sub", str(text):
                return self._substituted(text, {})
            case "Fn::Sub", [str(text), dict(names)]:
                return self._substituted(text, self._value(names))
        value = self._value(argument)
        match function, value:
            case "Fn::Split", [str(between), str(text)]:
                return text.split(between)
            case "Fn::Join", [str(between), [*parts]] if all(isinstance(one, str) for one in parts):
                return between.join(parts)
            case "Fn::Select", [int(index), [*parts]]:
                return parts[index]
            case (("Fn::Split" | "Fn::Join" | "Fn::Select"), _):
                return {function: value}
            case _:
                raise NotImplementedError(function)

    def _substituted(self, text: str, names: Mapping[str, Any]) -> Any:
        def replaced(match: re.Match[str]) -> str:
            name = match[1]
            if name in names:
                return _inside_text(names[name])
            if name in self._types:
                return self._parameters[name]
            return self._pseudo.get(name, match[0])

        made = _PLACEHOLDER.sub(replaced, text)
        return {"Fn::Sub": made} if _PLACEHOLDER.search(made) else made


def _present(values: list[Any]) -> list[Any]:
    return [one for one in values if one != _NO_VALUE]


def _inside_text(value: Any) -> str:
    match value:
        case {"Fn::Sub": str(text)}:
            return text
        case {"Ref": str(name)}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [str(name), str(attribute)]}:
            return f"${{{name}.{attribute}}}"
        case _:
            return str(value)
