/** What recognizes: this server. The site of `phonemo site` has the backend of local/ here. */

export { backend } from "./serverbackend.js";
