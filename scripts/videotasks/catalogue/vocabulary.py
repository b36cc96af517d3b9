"""What APIs call the inputs that our options stand for: names in order of how surely they mean it. Pure data.

A name counts only where a specification has it; without one nothing is taken from here.
"""

from __future__ import annotations

WORDS: dict[str, tuple[str, ...]] = {
    "prompt": ("prompt", "text_prompt", "prompt_text", "promptText", "text", "text_to_video_prompt"),
    "duration": ("duration", "seconds", "duration_seconds", "durationSeconds", "video_length", "length", "num_seconds",
                 "video_duration"),
    "ratio": ("aspect_ratio", "ratio", "aspectRatio", "video_aspect_ratio", "orientation"),
    "resolution": ("resolution", "video_resolution", "definition", "video_quality", "resolution_quality"),
    "seed": ("seed",),
    "image.first_frame": (
        "first_frame_url", "first_frame_image", "first_frame", "first_frame_image_url", "start_frame_url",
        "start_frame", "start_image_url", "start_image", "firstFrameImage", "image_url", "input_image_url",
        "input_image", "image", "img_url", "imageUrl", "promptImage", "prompt_image", "frame_image",
        "image_file",
    ),
    "image.last_frame": (
        "last_frame_url", "last_frame_image", "last_frame", "last_frame_image_url", "end_frame_url", "end_frame",
        "end_image_url", "end_image", "tail_image_url", "tail_image", "image_tail", "last_image_url", "last_image",
        "lastFrameImage",
    ),
    "image.reference": (
        "reference_image_urls", "reference_images", "reference_image_url", "reference_image", "subject_reference",
        "subject_reference_image_url", "image_urls", "images", "image_list", "input_images", "image_input",
        "input_image_urls", "referenceImages",
    ),
    "video": ("video_url", "input_video_url", "video", "input_video", "source_video_url", "source_video", "video_urls",
              "reference_video_urls", "videoUrl", "reference_video_url", "reference_video"),
    "audio": ("audio_url", "input_audio_url", "audio_file_url", "audio_urls", "input_audio", "audio_file", "audioUrl",
              "driving_audio_url"),
    "count": ("n", "num_videos", "num_outputs", "number_of_videos", "numberOfVideos", "batch_size", "num_generations"),
    "sound": ("generate_audio", "enable_audio", "generateAudio", "with_audio", "sound", "audio", "add_audio"),
}  # fmt: skip
MEDIA = ("image.first_frame", "image.last_frame", "image.reference", "video", "audio")
