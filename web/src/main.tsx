import { render } from "preact";
import { App } from "./ui/App";
import { applyTheme } from "./ui/theme";
// The layout comes last: on narrow screens it overrules the parts.
import "./style/base.css";
import "./style/chat.css";
import "./style/panel.css";
import "./style/layout.css";

applyTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);
